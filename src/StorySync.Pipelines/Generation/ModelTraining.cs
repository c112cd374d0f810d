using System.ComponentModel.DataAnnotations;
using System.Globalization;
using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.Weights;

namespace StorySync.Pipelines;

/// <summary>How a model was trained: the entries of its <c>scheduler_config.json</c> that are the model's, whatever scheduler it runs
/// with.</summary>
internal sealed record ModelTraining
{
    /// <summary>The prediction type of flow matching.</summary>
    public const string FlowPrediction = "flow_prediction";

    /// <summary>Gets what is known of a model that was trained by flow matching.</summary>
    public static ModelTraining ByFlowMatching { get; } = new() { PredictionType = FlowPrediction };

    /// <summary>Gets what the model was trained to predict; null if it does not say.</summary>
    [AllowedValues("epsilon", "v_prediction", "sample", FlowPrediction)]
    public string? PredictionType { get; init; }

    public int? NumTrainTimesteps { get; init; }

    public double? BetaStart { get; init; }

    public double? BetaEnd { get; init; }

    public string? BetaSchedule { get; init; }

    public IReadOnlyList<double>? TrainedBetas { get; init; }

    /// <summary>Reads the entries of a model that was not trained by flow matching.</summary>
    /// <param name="folder">The model.</param>
    /// <exception cref="ModelFileException">An entry is of a wrong kind, or the prediction type is none of such a model's.</exception>
    public static ModelTraining Read(ModelFolder folder)
    {
        const string file = "scheduler_config.json";
        if (!folder.Contents.Has("scheduler", file))
        {
            return new();
        }

        var training = folder.Config<ModelTraining>("scheduler", file);
        return training.PredictionType == FlowPrediction
            ? throw new ModelFileException(folder.ReadFile("scheduler", file).Path,
                $"'prediction_type' is {FlowPrediction}; it must be one of epsilon, v_prediction, sample")
            : training with { PredictionType = training.PredictionType ?? "epsilon" };
    }

    /// <summary>Tells in what the noise levels of a scheduler differ from those that the model was trained with; null where they do
    /// not.</summary>
    /// <param name="scheduler">The scheduler.</param>
    public string? OtherNoise(Scheduler scheduler)
    {
        if (scheduler.Config is not DiffusionSchedulerConfig given)
        {
            return null;
        }

        (string Name, object? Trained, object? Given)[] entries =
        [
            ("num_train_timesteps", NumTrainTimesteps, given.NumTrainTimesteps),
            ("beta_start", BetaStart, given.BetaStart),
            ("beta_end", BetaEnd, given.BetaEnd),
            ("beta_schedule", BetaSchedule, given.BetaSchedule),
        ];
        if (TrainedBetas is { } betas)
        {
            return given.TrainedBetas?.SequenceEqual(betas) == true ? null : "it does not have the model's 'trained_betas'";
        }

        return entries.Where(entry => entry.Trained is { } trained && !trained.Equals(entry.Given))
            .Select(entry => string.Create(
                CultureInfo.InvariantCulture, $"its '{entry.Name}' is {entry.Given}, the model's {entry.Trained}"))
            .FirstOrDefault();
    }
}
