using System.Text.Json.Serialization;
using StorySync.Attention;
using StorySync.Diffusion.Schedulers;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Specifies what to generate: the part that every pipeline has. Counterpart of the arguments of a diffusers pipeline's call. What
/// only one model has is in <see cref="StableDiffusionXLRequest"/>, <see cref="Kandinsky3Request"/> and
/// <see cref="FluxRequest"/>.</summary>
/// <remarks>It round-trips through System.Text.Json, without what only a program can give: <see cref="Latents"/>, <see cref="OnStep"/> and
/// <see cref="AttentionProcessor"/>. In JSON <c>"$type"</c>, first, says <c>sdxl</c>, <c>kandinsky3</c> or <c>flux</c> where a request of
/// one model stands in the place of any.</remarks>
[JsonPolymorphic]
[JsonDerivedType(typeof(StableDiffusionXLRequest), "sdxl")]
[JsonDerivedType(typeof(Kandinsky3Request), "kandinsky3")]
[JsonDerivedType(typeof(FluxRequest), "flux")]
public record GenerationRequest
{
    /// <summary>The largest <see cref="Height"/> and <see cref="Width"/>, 131,072 pixels.</summary>
    public const int MaxSide = 131_072;

    /// <summary>The largest number of <see cref="Steps"/>, 10,000.</summary>
    public const int MaxSteps = 10_000;

    /// <summary>The largest number of images of a request, 1,000,000.</summary>
    public const int MaxImages = 1_000_000;

    /// <summary>Gets the prompts, at least one.</summary>
    public IReadOnlyList<string> Prompts { get; init => field = value is { Count: 0 } ? [] : value; } = [];

    /// <summary>Gets what the images are kept away from: one for all prompts or one each; null (default) for none, which is not the same as
    /// an empty one. Has an effect only while guidance is on; on FLUX that is <see cref="FluxRequest.TrueCfgScale"/>.</summary>
    public IReadOnlyList<string>? NegativePrompts { get; init; }

    /// <summary>Gets the height in pixels, up to <see cref="MaxSide"/>, a multiple of <see cref="DiffusionPipeline.SizeMultiple"/>
    /// (Kandinsky 3 rounds up to one); null (default) for that of <see cref="Images"/>, or else the model's own,
    /// <see cref="DiffusionPipeline.DefaultSize"/>.</summary>
    public int? Height { get; init; }

    /// <summary>Gets the width in pixels, with the range and default of <see cref="Height"/>.</summary>
    public int? Width { get; init; }

    /// <summary>Gets the number of denoising steps, 1 … <see cref="MaxSteps"/>; null (default) for
    /// <see cref="DiffusionPipeline.DefaultSteps"/>.</summary>
    public int? Steps { get; init; }

    /// <summary>Gets how strongly the image follows the prompt; guidance is on above 1. Null (default) for
    /// <see cref="DiffusionPipeline.DefaultGuidanceScale"/>; where the model names none of its own, 7.5 for SDXL with a <see cref="Mask"/>
    /// and 7 for FLUX with <see cref="Images"/>, as in diffusers.</summary>
    public double? GuidanceScale { get; init; }

    /// <summary>Gets how a model that was distilled to few steps is run, where the request does not say it itself; null (default) for
    /// <see cref="DiffusionPipeline.Preset"/>.</summary>
    public SamplingPreset? Preset { get; init; }

    /// <summary>Gets the first share of the steps that has guidance, in (0, 1]. From step <c>GuidanceEnd · steps</c> on, the model computes
    /// the positive half of the batch alone, for half the work; below 1 the images are approximate. Default 1. Ignored when guidance is
    /// disabled.</summary>
    public double GuidanceEnd { get; init; } = 1;

    /// <summary>Gets the relative change of the first block, at least 0, below which a step reuses the results of the deeper blocks: mean
    /// absolute change over mean absolute value, since the step that was computed last; see
    /// <see cref="StorySync.Diffusion.Denoising.BlockCache"/>. The images are approximate. 0 (default) computes every step.</summary>
    public double BlockCacheThreshold { get; init; }

    /// <summary>Gets the number of images of each prompt, at least 1 (default); up to <see cref="MaxImages"/> together. Images come in the
    /// order of the prompts: 0, 0, 1, 1.</summary>
    public int ImagesPerPrompt { get; init; } = 1;

    /// <summary>Gets the seed of the first image; each further one has the next seed. Null (default) for a random one, which the result
    /// names.</summary>
    public long? Seed { get; init; }

    /// <summary>Gets a seed for each image, in place of <see cref="Seed"/>; null (default) to count on from that.</summary>
    public IReadOnlyList<long>? Seeds { get; init; }

    /// <summary>Gets the scheduler, by its class in diffusers or as an object; null (default) for
    /// <see cref="DiffusionPipeline.Scheduler"/>.</summary>
    public SchedulerChoice? Scheduler { get; init; }

    /// <summary>Gets how strong LoRAs are in this generation alone, by the names in <see cref="DiffusionPipeline.Loras"/>: 1 as trained, 0
    /// for no effect; one that is not named keeps its scale. Null (default) leaves all as they are. Such a generation changes the weights
    /// for its time: it waits for those under way, and others wait for it.</summary>
    public IReadOnlyDictionary<string, double>? LoraScales { get; init; }

    /// <summary>Gets the noise to begin with, in place of the seeds': standard normal, one row per image, in the shape of the latents. It
    /// stays the caller's. Null (default) draws it from the seeds.</summary>
    [JsonIgnore]
    public Tensor? Latents { get; init; }

    /// <summary>Gets the images to begin from instead of from noise: one for all or one per image; null (default) for none. With a size
    /// given, or one that is not a multiple of the model's, they are resized.</summary>
    public IReadOnlyList<RgbImage>? Images { get; init; }

    /// <summary>Gets the image-to-image strength, in (0, 1]: only the final fraction of the steps is run. Null (default) for diffusers'
    /// value: 0.3, with a <see cref="Mask"/> 0.9999, on FLUX 0.6.</summary>
    public double? Strength { get; init; }

    /// <summary>Gets where <see cref="Images"/> are painted over: white there, black where the image stays; of the image's size. Null
    /// (default) for everywhere.</summary>
    public RgbImage? Mask { get; init; }

    /// <summary>Gets how much noise DDIM and TCD inject in each step, 0 (default) … 1; ignored by other schedulers.</summary>
    public double Eta { get; init; }

    /// <summary>Gets a value indicating whether to leave out decoding: the result then has latents and no images. Default false.</summary>
    public bool LatentsOnly { get; init; }

    /// <summary>Gets the callback that is called after every step with its tensors, which live until it returns; null (default) for
    /// none.</summary>
    [JsonIgnore]
    public Action<DenoisingStep>? OnStep { get; init; }

    /// <summary>Gets the number of steps after which progress carries a preview of the images (<see cref="GenerationProgress.Previews"/>),
    /// at least 0; 0 (default) for never.</summary>
    public int PreviewInterval { get; init; }

    /// <summary>Gets the processor that attends in this generation in place of those that are set on the model; null (default) leaves
    /// those.</summary>
    [JsonIgnore]
    public IAttentionProcessor? AttentionProcessor { get; init; }

    /// <summary>Gets the noise of the generation, in place of the seeds'.</summary>
    internal NoiseSource? Noise { get; init; }
}

/// <summary>Represents a completed denoising step.</summary>
public sealed class DenoisingStep
{
    internal DenoisingStep(int index, int count, float timestep, Tensor latents, Tensor predOriginalSample) =>
        (Index, Count, Timestep, Latents, PredOriginalSample) = (index, count, timestep, latents, predOriginalSample);

    /// <summary>Gets the step's index, from 0.</summary>
    public int Index { get; }

    /// <summary>Gets the number of steps.</summary>
    public int Count { get; }

    /// <summary>Gets the timestep that the model was called with.</summary>
    public float Timestep { get; }

    /// <summary>Gets the latents after the step, one row per image; they live until the callback returns.</summary>
    public Tensor Latents { get; }

    /// <summary>Gets the clean latents that the model predicted in the step, in the shape of <see cref="Latents"/>; they live until the
    /// callback returns.</summary>
    public Tensor PredOriginalSample { get; }
}
