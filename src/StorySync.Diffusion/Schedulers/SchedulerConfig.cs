using System.ComponentModel.DataAnnotations;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents the entries of a <c>scheduler_config.json</c>, under diffusers' names and with the defaults of the diffusers
/// class.</summary>
public abstract record SchedulerConfig
{
    /// <summary>Gets the number of noise levels that the model was trained with.</summary>
    [Range(2, 100_000)]
    public int NumTrainTimesteps { get; init; } = 1000;
}
