using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Denoising;

namespace StorySync.Pipelines;

/// <summary>The peak of decoding images, one after the other.</summary>
internal static class DecoderPeaks
{
    private const double Colors = 3;

    // Of a picture as floating-point numbers, while it becomes bytes: clamped, scaled, rounded.
    private const double BecomingBytes = 4 * Colors;

    /// <param name="config">The sizes.</param>
    /// <param name="pictures">The number of pictures.</param>
    /// <param name="height">Height in pixels.</param>
    /// <param name="width">Width in pixels.</param>
    /// <param name="tile">Height and width of a tile; null for whole pictures.</param>
    /// <param name="enlarges">Whether pictures are enlarged in memory before a convolution, and not by it.</param>
    public static ActivationPeak Largest(ConvolutionalAutoencoderConfig config, int pictures, int height, int width, int? tile,
        bool enlarges)
    {
        double picture = (double)height * width;
        var part = tile is { } side ? (double)Math.Min(side, height) * Math.Min(side, width) : picture;
        var decoding = Decoder.PeakElements(config, part, enlarges);

        // Tiles are kept until their picture is whole, pictures until all are; then all are joined.
        var tiles = part < picture ? 2 * Colors * picture : 0;
        var whole = new ActivationPeak("joining the pictures",
            Math.Max((2 * Colors * pictures) + Colors, (Colors * pictures) + BecomingBytes) * picture);
        return (decoding with { Elements = decoding.Elements + tiles + (Colors * (pictures - 1) * picture) }).Or(whole);
    }
}
