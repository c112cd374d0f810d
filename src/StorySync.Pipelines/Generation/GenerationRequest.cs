using StorySync.Attention;
using StorySync.Diffusion.Schedulers;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>What to generate: the part that every pipeline has. Counterpart of the arguments of a diffusers pipeline's call.</summary>
public record GenerationRequest
{
    /// <summary>The prompts, at least one.</summary>
    public required IReadOnlyList<string> Prompts { get; init; }

    /// <summary>What the pictures are to be kept away from: one for all prompts or one each; null for none, which is not the same as
    /// an empty one. Has an effect only while guidance is on.</summary>
    public IReadOnlyList<string>? NegativePrompts { get; init; }

    /// <summary>Height in pixels, a multiple of the latents' factor (8 for SDXL; Kandinsky 3 rounds up to one of 64); null for the
    /// model's own size.</summary>
    public int? Height { get; init; }

    /// <summary>Width in pixels, likewise.</summary>
    public int? Width { get; init; }

    /// <summary>Denoising steps, at least 1; null for the pipeline's default.</summary>
    public int? Steps { get; init; }

    /// <summary>How strongly the picture follows the prompt; guidance is on above 1. Null for the pipeline's default.</summary>
    public double? GuidanceScale { get; init; }

    /// <summary>The first share of the steps that has guidance, above 0, up to 1 (default): from step <c>GuidanceEnd · steps</c> on, the
    /// model computes the positive half of the batch alone, for half the work. Below 1 the pictures are approximate. Without meaning where
    /// guidance is off.</summary>
    public double GuidanceEnd { get; init; } = 1;

    /// <summary>From which change on a step is computed, at least 0: where the denoiser's first block changes less since the step that
    /// was computed last, by mean absolute change over mean absolute value, the deeper blocks are left out, and what they gave then is used
    /// again; see <see cref="StorySync.Diffusion.Denoising.BlockCache"/>. The pictures are approximate. 0 (default) computes every step.</summary>
    public double BlockCacheThreshold { get; init; }

    /// <summary>How many pictures each prompt gets, at least 1. Pictures come in the order of the prompts: 0, 0, 1, 1.</summary>
    public int ImagesPerPrompt { get; init; } = 1;

    /// <summary>The seed of the first picture; each further one has the next seed.</summary>
    public long Seed { get; init; }

    /// <summary>A seed for each picture, in place of <see cref="Seed"/>.</summary>
    public IReadOnlyList<long>? Seeds { get; init; }

    /// <summary>Noise to begin with, in place of the seeds': standard normal, one row a picture, in the shape of the latents. It stays
    /// the caller's.</summary>
    public Tensor? Latents { get; init; }

    /// <summary>Pictures to begin from instead of from noise: one for all or one a picture. With a size given, or one that is no
    /// multiple of the model's, they are resized.</summary>
    public IReadOnlyList<RgbImage>? Images { get; init; }

    /// <summary>How much of <see cref="Images"/> is made anew, above 0, up to 1: the last such part of the steps is made.</summary>
    public double Strength { get; init; } = 0.3;

    /// <summary>Where <see cref="Images"/> are to be painted over: white there, black where the picture stays; of the picture's size.
    /// With a mask the usual strength is 1.</summary>
    public RgbImage? Mask { get; init; }

    /// <summary>How much noise DDIM injects, 0 … 1; without meaning for other schedulers.</summary>
    public double Eta { get; init; }

    /// <summary>Whether to leave out decoding: the result then has latents and no pictures.</summary>
    public bool LatentsOnly { get; init; }

    /// <summary>Called after every step with the latents, which live until it returns.</summary>
    public Action<DenoisingStep>? OnStep { get; init; }

    /// <summary>After how many steps progress carries a preview of the pictures; 0 for never.</summary>
    public int PreviewInterval { get; init; }

    /// <summary>Attends in this run in place of the processors that are set on the model; null leaves those.</summary>
    public IAttentionProcessor? AttentionProcessor { get; init; }

    /// <summary>The noise of the run, in place of the seeds'.</summary>
    internal NoiseSource? Noise { get; init; }
}

/// <summary>A step that was made.</summary>
/// <param name="Index">Which, from 0.</param>
/// <param name="Count">How many there are.</param>
/// <param name="Timestep">The timestep that the model was called with.</param>
/// <param name="Latents">The latents after the step, one row a picture; they live until the callback returns.</param>
public sealed record DenoisingStep(int Index, int Count, float Timestep, Tensor Latents);
