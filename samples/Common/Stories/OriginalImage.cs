using System.Text.Json;
using StorySync.Documents;
using StorySync.Pipelines;

namespace StorySync.Samples;

/// <summary>An image that is to be made again, read before anything is written over it.</summary>
/// <param name="Path">The file.</param>
/// <param name="Image">The image.</param>
/// <param name="Origin">What it was made with.</param>
internal sealed record OriginalImage(string Path, RgbImage Image, ImageOrigin Origin)
{
    /// <summary>Reads an image.</summary>
    /// <param name="path">The file.</param>
    /// <param name="settled">What else is given that the image says itself; null for nothing.</param>
    /// <exception cref="UserErrorException">There is none, it does not say what it was made with, or something else is given.</exception>
    public static OriginalImage Load(string path, string? settled)
    {
        if (settled is not null)
        {
            throw new UserErrorException($"{settled} cannot be given with --from: the image says how it was made. Leave it out.");
        }

        var (image, texts) = ImageFile.Read(
            path, file => (RgbImage.Load(file), RgbImage.ReadPngText(file)), "--from: ",
            " A PNG file that this program wrote was expected.");
        if (!texts.TryGetValue(ImageOrigin.Keyword, out var text))
        {
            throw new UserErrorException(
                $"--from: '{path}' does not say in full what it was made with. Scenes of `storysync story` and PNG files of `storysync "
                    + "draw` do, unless they began from an image of your own, or another program wrote them again.");
        }

        try
        {
            return new OriginalImage(path, image, ImageOrigin.Parse(text));
        }
        catch (JsonException exception)
        {
            throw new UserErrorException($"--from: what '{path}' says of itself cannot be read: {exception.Message}", exception);
        }
    }

    /// <summary>The model to load.</summary>
    /// <param name="given">The one that the user names; null for none.</param>
    /// <exception cref="UserErrorException">Neither the user nor the image names one.</exception>
    public string Model(string? given) => given ?? Origin.Model ?? throw new UserErrorException(
        $"--from: '{Path}' was made with a model in a folder or file, whose path it does not say; give it by --model.");

    /// <summary>What the model is loaded with.</summary>
    public PipelineOptions Pipeline(PipelineOptions given) => given with
    {
        Dtype = Origin.Dtype,
        Quantization = Origin.Quantization,
        TiledDecoding = Origin.TiledDecoding,
        Variant = given.Variant ?? Origin.Variant,
    };

    /// <summary>Checks that a pipeline is the one that made the image.</summary>
    /// <exception cref="UserErrorException">It is another.</exception>
    public void Check(DiffusionPipeline pipeline, string model)
    {
        if (pipeline.Identity != Origin.ModelHash)
        {
            throw new UserErrorException(
                $"--from: '{Path}' was made with another model than '{model}': its hash is {Origin.ModelHash}, that of this one "
                    + $"{pipeline.Identity}. Give the model by --model, and its variant by --variant.");
        }

        if (!pipeline.LoraIdentities.SequenceEqual(Origin.Loras))
        {
            throw new UserErrorException(
                $"--from: '{Path}' was made with {(Origin.Loras.Count == 0 ? "no LoRA" : string.Join(", ", Origin.Loras))}; give the same "
                    + "ones by --lora, in files of the same names.");
        }
    }

    /// <summary>Compares the image with what was made again.</summary>
    /// <exception cref="UserErrorException">It has another size.</exception>
    public ImageComparison Compare(RgbImage again)
    {
        if ((again.Width, again.Height) != (Image.Width, Image.Height))
        {
            throw new UserErrorException(
                $"--from: '{Path}' has {Image.Width}×{Image.Height} pixels, and what it says of itself makes "
                    + $"{again.Width}×{again.Height}; it was resized.");
        }

        var (largest, differing) = (0, 0);
        for (var i = 0; i < Image.Pixels.Length; i += 3)
        {
            var pixel = 0;
            for (var c = i; c < i + 3; c++)
            {
                pixel = Math.Max(pixel, Math.Abs(Image.Pixels[c] - again.Pixels[c]));
            }

            largest = Math.Max(largest, pixel);
            differing += pixel > 0 ? 1 : 0;
        }

        return new ImageComparison(Path, largest, differing);
    }
}

/// <summary>How far an image that was made again is from the first one.</summary>
/// <param name="File">The first one's file.</param>
/// <param name="LargestDifference">The largest difference of a pixel's red, green or blue, 0 to 255.</param>
/// <param name="DifferingPixels">The number of pixels that differ.</param>
internal sealed record ImageComparison(string File, int LargestDifference, int DifferingPixels)
{
    public override string ToString() => LargestDifference == 0
        ? $"The same as {File}: the largest pixel difference is 0"
        : $"Not the same as {File}: {English.Count(DifferingPixels, "pixel")} differ, by up to {LargestDifference} of 255";
}
