using System.Text;

namespace StorySync.Pipelines;

/// <summary>What a file says of the image's origin, in each format.</summary>
internal static class ImageMarks
{
    private const string Parameters = "parameters";
    private const string Xmp = "XML:com.adobe.xmp";

    /// <summary>Inserts an image's provenance, and texts into a PNG file.</summary>
    /// <param name="file">The file without either.</param>
    /// <param name="image">The image.</param>
    /// <param name="format">The file's format.</param>
    /// <param name="text">Texts of a PNG file; they come before those of the provenance, and replace them.</param>
    public static byte[] Insert(byte[] file, RgbImage image, ImageFormat format, IReadOnlyDictionary<string, string>? text = null)
    {
        if (image.Provenance is not { } provenance)
        {
            return text is null ? file : PngText.Insert(file, text);
        }

        switch (format)
        {
            case ImageFormat.Png:
                var texts = new OrderedDictionary<string, string>(text ?? new Dictionary<string, string>(), StringComparer.Ordinal);
                if (provenance.Parameters is { } parameters)
                {
                    texts.TryAdd(Parameters, parameters);
                }

                texts.TryAdd(Xmp, XmpPacket.Text);
                return PngText.Insert(file, texts);
            case ImageFormat.Jpeg:
                return JpegMetadata.Insert(file, provenance.Parameters, XmpPacket.Bytes);
            default:
                return WebPMetadata.Insert(file, image.Width, image.Height, provenance.Parameters, XmpPacket.Bytes);
        }
    }

    /// <summary>Reads what a file says; null where it does not say that a model made the image, or cannot be read.</summary>
    public static ImageProvenance? Read(ReadOnlySpan<byte> file)
    {
        var (parameters, xmp) = JpegMetadata.IsJpeg(file) ? JpegMetadata.Read(file)
            : WebPMetadata.IsWebP(file) ? WebPMetadata.Read(file)
            : (PngText.Find(file, Parameters), PngText.Find(file, Xmp) is { } packet ? Encoding.UTF8.GetBytes(packet) : null);
        return XmpPacket.TellsOfModel(xmp) ? new ImageProvenance { Parameters = parameters } : null;
    }

    /// <summary>Reads the parameters of a file of any program that writes them; null where there are none.</summary>
    public static string? ReadParameters(ReadOnlySpan<byte> file) => JpegMetadata.IsJpeg(file) ? JpegMetadata.Read(file).Comment
        : WebPMetadata.IsWebP(file) ? WebPMetadata.Read(file).Comment
        : PngText.Find(file, Parameters);
}
