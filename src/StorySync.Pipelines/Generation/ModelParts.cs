using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Tokenizers;
using StorySync.Diffusion.Weights;

namespace StorySync.Pipelines;

/// <summary>Loads the parts of a model that have to fit each other, and checks that they do.</summary>
internal static class ModelParts
{
    /// <summary>Loads a model's scheduler.</summary>
    /// <param name="folder">The model.</param>
    /// <param name="choice">The scheduler to take in place of the folder's, or its class; null for the folder's own.</param>
    /// <param name="predictionType">What the model was trained to predict; null if that is not known.</param>
    /// <exception cref="ModelFileException">The scheduler is not one for the model.</exception>
    /// <exception cref="ArgumentException"><paramref name="choice"/> is a scheduler that is not one for the model.</exception>
    public static Scheduler LoadScheduler(ModelFolder folder, SchedulerChoice? choice, string? predictionType)
    {
        if (choice?.Instance is { } given)
        {
            Check(given, predictionType);
            return given;
        }

        var scheduler = choice is null
            ? Scheduler.Load(folder)
            : Scheduler.Load(folder.ReadFile("scheduler", "scheduler_config.json"), choice.ClassName);
        return Misfit(scheduler, predictionType) is { } problem
            ? throw new ModelFileException(folder.ReadFile("scheduler", "scheduler_config.json").Path, problem)
            : scheduler;
    }

    /// <summary>Checks that a scheduler is one for a model.</summary>
    /// <param name="scheduler">The scheduler.</param>
    /// <param name="predictionType">What the model was trained to predict; null if that is not known.</param>
    /// <exception cref="ArgumentException">It is not.</exception>
    public static void Check(Scheduler scheduler, string? predictionType)
    {
        var problem = Misfit(scheduler, predictionType);
        RequestRules.Require(problem is null, $"The Scheduler does not fit: {problem}.");
    }

    /// <summary>Loads the tokenizer of a CLIP text encoder. Where its folder names no length for sequences, it is the encoder's.</summary>
    /// <exception cref="ModelFileException">It has more tokens, or longer sequences, than the encoder takes, or ends texts by another
    /// token.</exception>
    public static PromptTokenizer LoadClipTokenizer(ModelFolder folder, string component, string textEncoder)
    {
        var config = folder.Config<CLIPTextConfig>(textEncoder);
        var tokenizer = LoadTokenizer(folder, component, textEncoder, config.VocabSize).WithDefaultLength(config.MaxPositionEmbeddings);
        if (config.EosTokenId != CLIPTextConfig.LargestId && config.EosTokenId != tokenizer.EosTokenId)
        {
            throw new ModelFileException(
                folder.FilePath(textEncoder, "config.json"),
                $"'eos_token_id' is {config.EosTokenId}; it must be that of {component}, which is {tokenizer.EosTokenId}, or "
                    + $"{CLIPTextConfig.LargestId} for the largest id of a text");
        }

        return tokenizer.ModelMaxLength >= 2 && tokenizer.ModelMaxLength <= config.MaxPositionEmbeddings
            ? tokenizer
            : throw new ModelFileException(
                folder.Contents.PathOf(component, "tokenizer_config.json"),
                $"'model_max_length' is {tokenizer.ModelMaxLength}; it must be from 2 to 'max_position_embeddings' of {textEncoder}, "
                    + $"which is {config.MaxPositionEmbeddings}");
    }

    /// <summary>Loads the tokenizer of a T5 text encoder.</summary>
    /// <exception cref="ModelFileException">It has more tokens than the encoder takes.</exception>
    public static PromptTokenizer LoadT5Tokenizer(ModelFolder folder, string component, string textEncoder) =>
        LoadTokenizer(folder, component, textEncoder, folder.Config<T5Config>(textEncoder).VocabSize);

    /// <summary>Checks that two numbers of a model's configs are equal.</summary>
    /// <exception cref="ModelFileException">They differ.</exception>
    public static void RequireEqual(ModelFolder folder, string name, long found, string other, long expected)
    {
        if (found != expected)
        {
            throw new ModelFileException(folder.Path,
                $"its parts do not belong together: {name} is {found}, {other} is {expected}; they must be equal");
        }
    }

    /// <summary>Checks that an autoencoder is one of RGB images.</summary>
    /// <exception cref="ModelFileException">It is not.</exception>
    public static void RequireRgb(ModelFolder folder, string component, ConvolutionalAutoencoderConfig config)
    {
        RequireEqual(folder, $"'in_channels' of {component}", config.InChannels, "the number of channels of images", 3);
        RequireEqual(folder, $"'out_channels' of {component}", config.OutChannels, "the number of channels of images", 3);
    }

    private static PromptTokenizer LoadTokenizer(ModelFolder folder, string component, string textEncoder, int vocabSize)
    {
        var path = folder.IsSingleFile ? folder.Contents.PathOf(component, "") : folder.ComponentPath(component);
        var tokenizer = PromptTokenizer.Load(folder, component);
        return tokenizer.VocabularySize <= vocabSize
            ? tokenizer
            : throw new ModelFileException(path,
                $"it has ids up to {tokenizer.VocabularySize - 1}, but 'vocab_size' of {textEncoder} is {vocabSize}; "
                + "added tokens need rows in the encoder's embedding");
    }

    private static string? Misfit(Scheduler scheduler, string? predictionType)
    {
        if (scheduler.Config is DDPMSchedulerConfig { LearnsVariance: true } learned)
        {
            return $"'variance_type' is {learned.VarianceType}, and this model predicts no variance; expected fixed_small or fixed_large";
        }

        var flow = predictionType == ModelTraining.FlowPrediction;
        var found = $"{scheduler.GetType().Name} has the prediction type {scheduler.PredictionType}";
        if (scheduler.UsesFlowSigmas != flow || scheduler.PredictionType == ModelTraining.FlowPrediction != flow)
        {
            return $"{found} and {(scheduler.UsesFlowSigmas ? "" : "no ")}sigmas of flow matching; "
                + (flow
                    ? "this model was trained by flow matching: expected FlowMatchEulerDiscreteScheduler, or DPMSolverMultistepScheduler "
                        + "or UniPCMultistepScheduler "
                        + "with 'use_flow_sigmas' true and 'prediction_type' flow_prediction"
                    : "this model was not trained by flow matching: expected a scheduler with the prediction type "
                        + (predictionType ?? "epsilon, v_prediction or sample"));
        }

        return predictionType is null || scheduler.PredictionType == predictionType
            ? null
            : $"{found}; by its own scheduler_config.json this model was trained for {predictionType}. Name the scheduler by its class, "
                + "or make it with Scheduler.From(pipeline.Scheduler), to keep the model's entries; correct the file if it is wrong";
    }
}
