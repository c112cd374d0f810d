using System.Globalization;
using StorySync.Attention;
using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.Tokenizers;
using TorchSharp;

namespace StorySync.Pipelines;

/// <summary>What holds for every request, whatever the architecture.</summary>
internal static class RequestRules
{
    /// <summary>Returns what a request says that only one architecture understands; a plain request leaves all of it at its
    /// defaults.</summary>
    /// <typeparam name="TRequest">The architecture's request.</typeparam>
    public static TRequest Own<TRequest>(this GenerationRequest request)
        where TRequest : GenerationRequest, new() => request as TRequest ?? new TRequest();

    /// <exception cref="ArgumentException">The request breaks a rule; the message names it.</exception>
    public static void Check(GenerationRequest request, DiffusionPipeline pipeline)
    {
        var own = pipeline.RequestType;
        Require(
            request.GetType() == typeof(GenerationRequest) || own.IsInstanceOfType(request),
            $"The request is a {request.GetType().Name}, but the model is a {pipeline.GetType().Name}; give it a "
                + $"{nameof(GenerationRequest)}"
            + (own == typeof(GenerationRequest) ? "." : $" or a {own.Name}."));
        Require(request.Prompts is { Count: > 0 }, "Prompts is empty; give at least one.");
        Require(request.Prompts.All(p => p is not null), "Prompts holds a null; an empty prompt is the empty string.");
        Require(request.NegativePrompts?.All(p => p is not null) != false,
            "NegativePrompts holds a null; an empty prompt is the empty string.");
        Require(request.Steps is null or (>= 1 and <= GenerationRequest.MaxSteps),
            $"Steps is {request.Steps}; it must be from 1 to {GenerationRequest.MaxSteps}.");
        Require(request.ImagesPerPrompt >= 1, $"ImagesPerPrompt is {request.ImagesPerPrompt}; it must be at least 1.");
        Require(
            request.GuidanceScale is null || double.IsFinite(request.GuidanceScale.Value),
            $"GuidanceScale is {request.GuidanceScale}; it must be a number.");
        Require(request.GuidanceEnd is > 0 and <= 1, $"GuidanceEnd is {request.GuidanceEnd}; it must be above 0 and at most 1.");
        Require(
            request.BlockCacheThreshold >= 0 && double.IsFinite(request.BlockCacheThreshold),
            $"BlockCacheThreshold is {request.BlockCacheThreshold}; it must be a number, at least 0.");
        Require(request.PreviewInterval >= 0, $"PreviewInterval is {request.PreviewInterval}; it must be at least 0.");
        request.Preset?.Check(nameof(request.Preset));
        Require(request.Eta is >= 0 and <= 1, $"Eta is {request.Eta}; it must be from 0 to 1.");
        CheckLoras(request, pipeline);
        var count = (long)request.Prompts.Count * request.ImagesPerPrompt;
        Require(count <= GenerationRequest.MaxImages,
            $"The request is for {count} images; it must be for at most {GenerationRequest.MaxImages}.");
        var images = (int)count;
        OneOrEach(request.NegativePrompts?.Count, request.Prompts.Count, "NegativePrompts", "prompts");
        Require(request.Seeds is null || request.Seeds.Count == images, $"Seeds has {request.Seeds?.Count} entries for {images} images.");
        CheckImages(request, images);
        CheckSize(request.Height, "Height");
        CheckSize(request.Width, "Width");

        var (height, width) = Size(request, pipeline);
        var multiple = pipeline.SizeMultiple;
        Require(
            height >= multiple && width >= multiple && height % multiple == 0 && width % multiple == 0,
            request is { Images: [{ } small, ..], Height: null, Width: null } && (small.Width < multiple || small.Height < multiple)
                ? $"The image to begin from is {small.Width}×{small.Height}; it is too small: give one of at least {multiple}×{multiple}, "
                    + $"or Height and Width."
                : $"The size is {width}×{height}; width and height must be multiples of {multiple}.");
        if (request.Latents is { } latents)
        {
            var shape = pipeline.LatentShape(images, height, width);
            Require(
                latents.shape.SequenceEqual(shape),
                $"Latents has shape ({string.Join(", ", latents.shape)}); these images need ({string.Join(", ", shape)}).");
            using var finite = latents.isfinite();
            using var all = finite.all();
            Require(all.item<bool>(), "Latents has infinite or NaN values; give standard normal noise.");
        }
    }

    /// <summary>Adds warnings for options that have no effect together with the others, and for prompts that are not read as they were
    /// probably meant.</summary>
    public static void Warn(
        GenerationRequest request, DiffusionPipeline pipeline, Scheduler scheduler, int steps, bool guidance, bool hasProgress,
        WarningList warnings)
    {
        warnings.AddIf(request.Strength is not null && request.Images is null,
            "Strength has no effect: there are no Images to begin from.");
        warnings.AddIf(request.Seed is not null && request.Seeds is not null, "Seed has no effect: Seeds names the seed of each image.");
        warnings.AddIf(
            request.Eta > 0 && scheduler is not (DDIMScheduler or TCDScheduler),
            $"Eta has no effect: it is for DDIMScheduler and TCDScheduler, and the scheduler is {scheduler.GetType().Name}.");
        warnings.AddIf(request.LoraScales is { Count: > 0 } && !pipeline.Loras.Enabled,
            "LoraScales has no effect: the model's LoRAs are off (Loras.Enabled).");
        warnings.AddIf(request.GuidanceEnd < 1 && !guidance, "GuidanceEnd has no effect: guidance is off.");
        warnings.AddIf(
            request.GuidanceEnd < 1 && guidance && new StepRange(0, request.GuidanceEnd).Contains(steps - 1, steps),
            string.Create(CultureInfo.InvariantCulture,
                $"GuidanceEnd has no effect: with {steps} steps, all are in the first {request.GuidanceEnd} of them."));
        warnings.AddIf(
            request.BlockCacheThreshold > 0 && steps == 1,
            "BlockCacheThreshold has no effect: there is one step, and none before it to reuse.");
        warnings.AddIf(request.PreviewInterval > 0
            && !hasProgress, "PreviewInterval has no effect: there is no progress provider to report to.");
        warnings.AddIf(
            request.PreviewInterval > steps && hasProgress,
            $"PreviewInterval has no effect: it is {request.PreviewInterval}, and there are {steps} steps.");
        warnings.AddIf(
            request.PreviewInterval > 0 && hasProgress && pipeline is { PreviewDecoder: null, LatentColors: null },
            "PreviewInterval has no effect: the model has neither a PreviewDecoder nor latent_rgb_factors in its storysync.json.");
        pipeline.Warn(request, guidance, warnings);
        foreach (var reading in pipeline.Readings(request, guidance))
        {
            foreach (var prompt in reading.Prompts)
            {
                var encoding = reading.Tokenizer.EncodePadded(prompt, reading.Length);
                if (encoding.IsTruncated)
                {
                    warnings.Add(
                        GenerationWarningCode.PromptTruncated,
                        $"A prompt is longer than the {encoding.Ids.Length} tokens that {reading.Encoder} reads; it did not see: "
                            + $"\"{encoding.TruncatedText}\". {reading.AdviceOnLength}".TrimEnd());
                }

                if (PromptMarkup.HasWeights(prompt))
                {
                    warnings.Add(
                        GenerationWarningCode.PromptWeightsAsText,
                        $"A prompt has weights, such as \"(word:1.3)\", and they are read as text. {reading.AdviceOnWeights}".TrimEnd());
                }
            }
        }
    }

    /// <summary>Height and width of the images: as asked for, else as the given images have, else the model's own.</summary>
    public static (int Height, int Width) Size(GenerationRequest request, DiffusionPipeline pipeline)
    {
        var multiple = pipeline.SizeMultiple;
        var (height, width) = request.Images is [var first, ..]
            ? (first.Height / multiple * multiple, first.Width / multiple * multiple)
            : pipeline.DefaultSize;
        return (
            request.Height is { } askedHeight ? pipeline.RoundSide(askedHeight) : height,
            request.Width is { } askedWidth ? pipeline.RoundSide(askedWidth) : width);
    }

    public static void OneOrEach(int? count, int expected, string name, string what) =>
        Require(count is null || count == 1
            || count == expected, $"{name} has {count} entries for {expected} {what}; give one for all or one each.");

    public static void Require(bool holds, string message)
    {
        if (!holds)
        {
            throw new ArgumentException(message);
        }
    }

    private static void CheckLoras(GenerationRequest request, DiffusionPipeline pipeline)
    {
        foreach (var (name, scale) in request.LoraScales ?? new Dictionary<string, double>())
        {
            Require(
                pipeline.Loras.Scales.ContainsKey(name),
                $"LoraScales names '{name}', and no such LoRA is loaded; loaded are: "
                    + $"{string.Join(", ", pipeline.Loras.Scales.Keys.DefaultIfEmpty("none"))}.");
            Require(double.IsFinite(scale), $"LoraScales has {scale} for '{name}'; it must be a number.");
        }
    }

    private static void CheckSize(int? side, string name) =>
        Require(side is null or (>= 1 and <= GenerationRequest.MaxSide),
            $"{name} is {side}; it must be from 1 to {GenerationRequest.MaxSide}.");

    private static void CheckImages(GenerationRequest request, int images)
    {
        Require(request.Strength is null or (> 0 and <= 1), $"Strength is {request.Strength}; it must be above 0 and at most 1.");
        if (request.Images is null)
        {
            Require(request.Mask is null, "There is a Mask but no image in Images for it to mark.");
            return;
        }

        Require(request.Images.Count > 0, "Images is empty; give one image for all or one each, or null to begin from noise.");
        Require(request.Images.All(image => image is not null), "Images holds a null.");
        OneOrEach(request.Images.Count, images, "Images", "images");
        Require(request.Latents is null, "Both Images and Latents are given; a generation begins from one of them.");
        var first = request.Images[0];
        Require(
            request.Mask is not { } mask || (mask.Width == first.Width && mask.Height == first.Height),
            $"The mask is {request.Mask?.Width}×{request.Mask?.Height}, the image {first.Width}×{first.Height}; they must be equal.");
        Require(
            request.Mask?.HasWhite() != false,
            "The mask has no white, so nothing would be painted over; paint it white where the images are to change (a luma of one half "
                + "or more).");
    }
}
