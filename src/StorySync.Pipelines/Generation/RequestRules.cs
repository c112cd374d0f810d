namespace StorySync.Pipelines;

/// <summary>What holds for every request, whatever the architecture.</summary>
internal static class RequestRules
{
    /// <exception cref="ArgumentException">The request breaks a rule; the message names it.</exception>
    public static void Check(GenerationRequest request, DiffusionPipeline pipeline)
    {
        Require(request.Prompts is { Count: > 0 }, "Prompts is empty; give at least one.");
        Require(request.Prompts.All(p => p is not null), "Prompts holds a null; an empty prompt is the empty string.");
        Require(request.Steps is null or >= 1, $"Steps is {request.Steps}; it must be at least 1.");
        Require(request.ImagesPerPrompt >= 1, $"ImagesPerPrompt is {request.ImagesPerPrompt}; it must be at least 1.");
        Require(request.GuidanceScale is null || double.IsFinite(request.GuidanceScale.Value), $"GuidanceScale is {request.GuidanceScale}; it must be a number.");
        Require(request.GuidanceEnd is > 0 and <= 1, $"GuidanceEnd is {request.GuidanceEnd}; it must be above 0 and at most 1.");
        Require(
            request.BlockCacheThreshold >= 0 && double.IsFinite(request.BlockCacheThreshold),
            $"BlockCacheThreshold is {request.BlockCacheThreshold}; it must be a number, at least 0.");
        Require(request.PreviewInterval >= 0, $"PreviewInterval is {request.PreviewInterval}; it must be at least 0.");
        Require(request.Eta is >= 0 and <= 1, $"Eta is {request.Eta}; it must be from 0 to 1.");
        var pictures = request.Prompts.Count * request.ImagesPerPrompt;
        OneOrEach(request.NegativePrompts?.Count, request.Prompts.Count, "NegativePrompts", "prompts");
        Require(request.Seeds is null || request.Seeds.Count == pictures, $"Seeds has {request.Seeds?.Count} entries for {pictures} pictures.");
        CheckImages(request, pictures);

        var (height, width) = Size(request, pipeline);
        var multiple = pipeline.SizeMultiple;
        Require(
            height >= multiple && width >= multiple && height % multiple == 0 && width % multiple == 0,
            request is { Images: [{ } small, ..], Height: null, Width: null } && (small.Width < multiple || small.Height < multiple)
                ? $"The image to begin from is {small.Width}×{small.Height}; it is too small: give one of at least {multiple}×{multiple}, or Height and Width."
                : $"The size is {width}×{height}; width and height must be multiples of {multiple}.");
        if (request.Latents is { } latents)
        {
            var shape = pipeline.LatentShape(pictures, height, width);
            Require(
                latents.shape.SequenceEqual(shape),
                $"Latents has shape ({string.Join(", ", latents.shape)}); these pictures need ({string.Join(", ", shape)}).");
        }
    }

    /// <summary>Height and width of the pictures: as asked for, else as the given pictures have, else the model's own.</summary>
    public static (int Height, int Width) Size(GenerationRequest request, DiffusionPipeline pipeline)
    {
        var multiple = pipeline.SizeMultiple;
        var (height, width) = request.Images is [var first, ..]
            ? (first.Height / multiple * multiple, first.Width / multiple * multiple)
            : pipeline.DefaultSize;
        return (
            request.Height is { } askedHeight ? pipeline.PictureSide(askedHeight) : height,
            request.Width is { } askedWidth ? pipeline.PictureSide(askedWidth) : width);
    }

    public static void OneOrEach(int? count, int expected, string name, string what) =>
        Require(count is null || count == 1 || count == expected, $"{name} has {count} entries for {expected} {what}; give one for all or one each.");

    public static void Require(bool holds, string message)
    {
        if (!holds)
        {
            throw new ArgumentException(message);
        }
    }

    private static void CheckImages(GenerationRequest request, int pictures)
    {
        if (request.Images is null)
        {
            Require(request.Mask is null, "There is a Mask but no picture in Images for it to lie over.");
            return;
        }

        Require(request.Images.Count > 0, "Images is empty; give one picture for all or one each, or null to begin from noise.");
        OneOrEach(request.Images.Count, pictures, "Images", "pictures");
        Require(request.Strength is > 0 and <= 1, $"Strength is {request.Strength}; it must be above 0 and at most 1.");
        Require(request.Latents is null, "Both Images and Latents are given; a run begins from one of them.");
        Require(
            request.Mask is not { } mask || (mask.Width == request.Images[0].Width && mask.Height == request.Images[0].Height),
            $"The mask is {request.Mask?.Width}×{request.Mask?.Height}, the picture {request.Images[0].Width}×{request.Images[0].Height}; they must be equal.");
        Require(
            request.Mask?.HasWhite() != false,
            "The mask has no white, so nothing would be painted over; paint it white where the images are to change (a luma of one half or more).");
    }
}
