using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.Json.Serialization;
using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.Weights;

namespace StorySync.Pipelines;

/// <summary>How a model was trained: the entries of its <c>scheduler_config.json</c> that are the model's, whatever scheduler it runs
/// with.</summary>
internal sealed record ModelTraining
{
    /// <summary>The prediction type of flow matching.</summary>
    public const string FlowPrediction = "flow_prediction";

    private const string Keep =
        ". Name the scheduler by its class, or make it with Scheduler.From(pipeline.Scheduler), to keep them";

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

    /// <summary>Gets the scheduler's class.</summary>
    [JsonPropertyName("_class_name")]
    public string? ClassName { get; init; }

    /// <summary>Gets the standard deviation of the data of a model that was trained as EDM's are; null for others.</summary>
    public double? SigmaData { get; init; }

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
            : training with
            {
                PredictionType = training.PredictionType ?? "epsilon",
                SigmaData = training.SigmaData ?? (training.ClassName?.StartsWith("EDM", StringComparison.Ordinal) == true
                    ? new EDMEulerSchedulerConfig().SigmaData : null),
            };
    }

    /// <summary>Tells in what the noise levels of a scheduler differ from those that the model was trained with; null where they do
    /// not.</summary>
    /// <param name="scheduler">The scheduler.</param>
    public string? OtherNoise(Scheduler scheduler)
    {
        if (scheduler.Config is EDMSchedulerConfig edm)
        {
            return PredictionType is null || edm.SigmaData.Equals(SigmaData) ? null
                : SigmaData is null ? "they are EDM's, and the model was trained with betas"
                : Differs("sigma_data", edm.SigmaData, SigmaData);
        }

        if (scheduler.Config is not DiffusionSchedulerConfig given)
        {
            return null;
        }

        if (SigmaData is not null)
        {
            return "they come from betas, and the model was trained as EDM's are ('sigma_data'); take EDMEulerScheduler or "
                + "EDMDPMSolverMultistepScheduler";
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
            return given.TrainedBetas?.SequenceEqual(betas) == true ? null : $"it does not have the model's 'trained_betas'{Keep}";
        }

        return entries.Where(entry => entry.Trained is { } trained && !trained.Equals(entry.Given))
            .Select(entry => Differs(entry.Name, entry.Given, entry.Trained)).FirstOrDefault();

        static string Differs(string name, object? found, object? trained) =>
            string.Create(CultureInfo.InvariantCulture, $"its '{name}' is {found}, the model's {trained}{Keep}");
    }
}
