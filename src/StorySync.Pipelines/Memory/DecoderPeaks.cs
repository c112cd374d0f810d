using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Denoising;

namespace StorySync.Pipelines;

/// <summary>The peak of decoding images, one after the other.</summary>
internal static class DecoderPeaks
{
    private const double Colors = 3;

    // Of an image as floating-point numbers, while it becomes bytes: clamped, scaled, rounded.
    private const double BecomingBytes = 4 * Colors;

    /// <param name="config">The sizes.</param>
    /// <param name="images">The number of images.</param>
    /// <param name="height">Height in pixels.</param>
    /// <param name="width">Width in pixels.</param>
    /// <param name="tile">Height and width of a tile; null for whole images.</param>
    /// <param name="enlarges">Whether images are enlarged in memory before a convolution, and not by it.</param>
    public static ActivationPeak Largest(ConvolutionalAutoencoderConfig config, int images, int height, int width, int? tile,
        bool enlarges)
    {
        double image = (double)height * width;
        var part = tile is { } side ? (double)Math.Min(side, height) * Math.Min(side, width) : image;
        var decoding = Decoder.PeakElements(config, part, enlarges);

        // Tiles are kept until their image is whole, images until all are; then all are joined.
        var tiles = part < image ? 2 * Colors * image : 0;
        var whole = new ActivationPeak("joining the images",
            Math.Max((2 * Colors * images) + Colors, (Colors * images) + BecomingBytes) * image);
        return (decoding with { Elements = decoding.Elements + tiles + (Colors * (images - 1) * image) }).Or(whole);
    }
}
