using StorySync.Diffusion.Schedulers;
using StorySync.Kernels;
using TorchSharp;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>The latents that a generation begins with.</summary>
/// <param name="Latents">The first latents, scaled as the plan wants them.</param>
internal sealed record InitialLatents(Tensor Latents)
{
    /// <summary>See <see cref="DenoisingJob.ConditioningChannels"/>.</summary>
    public Tensor? ConditioningChannels { get; init; }

    /// <summary>See <see cref="DenoisingJob.AfterStep"/>.</summary>
    public Func<Tensor, int, Tensor>? AfterStep { get; init; }
}

/// <summary>Begins a generation from images: image to image, and inpainting where there is a mask. Draws noise in diffusers' order
/// (<c>StableDiffusionXLImg2ImgPipeline</c>, <c>StableDiffusionXLInpaintPipeline</c>, <c>FluxInpaintPipeline</c>).</summary>
internal sealed class ImageStart(
    DiffusionPipeline pipeline, SchedulePlan plan, int beginIndex, NoiseSource noise, CancellationToken cancellationToken)
{
    /// <param name="images">One for all that the run makes, or one for each.</param>
    /// <param name="mask">White where the images are painted over; null repaints all of them.</param>
    /// <param name="strength">The image-to-image strength.</param>
    /// <param name="count">How many images the run makes.</param>
    /// <param name="height">Pixels.</param>
    /// <param name="width">Pixels.</param>
    public InitialLatents From(IReadOnlyList<RgbImage> images, RgbImage? mask, double strength, int count, int height, int width)
    {
        var pixels =
            cat([.. images.Select(image => image.Resize(width, height).ToTensor())], dim: 0).to(pipeline.Options.Dtype, pipeline.Device);
        if (images.Count < count)
        {
            pixels = pixels.expand(count, -1, -1, -1);
        }

        // A model that reads the masked image, and begins from noise alone, never sees the whole one: no noise is drawn to encode it.
        var readsMask = mask is not null && pipeline.ConditioningChannels > 0;
        var clean = readsMask && strength == 1 ? null : pipeline.EncodeImages(pixels, noise, cancellationToken);
        var added = pipeline.DrawNoise(noise, count, height, width);
        if (mask is null)
        {
            return new InitialLatents(plan.AddNoise(clean!, added, beginIndex));
        }

        var painted = Binary(mask, width, height, added);
        var masked = pipeline.EncodeImages(pixels * painted.LessThan(0.5), noise, cancellationToken);
        var paintedLatents = pipeline.MaskLatents(painted, height, width);
        var latents = strength == 1 ? added.Times(plan.InitNoiseSigma) : plan.AddNoise(clean!, added, beginIndex);
        if (readsMask)
        {
            return new InitialLatents(latents)
            {
                ConditioningChannels = cat([paintedLatents.expand(count, -1, -1, -1), masked], dim: 1),
            };
        }

        return new InitialLatents(latents)
        {
            AfterStep = (step, next) =>
            {
                using var scope = NewDisposeScope();
                var kept = next < plan.Timesteps.Length ? plan.AddNoise(clean!, added, next) : clean!;
                return (paintedLatents.Complement() * kept).Plus(paintedLatents * step).MoveToOuterDisposeScope();
            },
        };
    }

    /// <summary>(1, 1, height, width): 1 where the mask is at least half white.</summary>
    private static Tensor Binary(RgbImage mask, int width, int height, Tensor like) =>
        Scoped(() => mask.WithoutAlpha().Resize(width, height).ToMask().to(like.dtype).to(like.device).view(1, 1, height, width));
}
