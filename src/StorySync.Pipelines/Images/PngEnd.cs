using System.Buffers.Binary;

namespace StorySync.Pipelines;

/// <summary>Looks for the last chunk of a PNG file. How the image is turned may stand in one after the pixels, so that a file without its
/// end would be another image.</summary>
internal static class PngEnd
{
    private const int SignatureLength = 8;
    private const int ChunkOverhead = 12;

    /// <summary>Returns a value indicating whether the last chunk is there.</summary>
    /// <param name="png">The whole file.</param>
    public static bool IsThere(ReadOnlySpan<byte> png)
    {
        for (var at = SignatureLength; at <= png.Length - ChunkOverhead;)
        {
            var length = BinaryPrimitives.ReadUInt32BigEndian(png[at..]);
            if (length > png.Length - at - ChunkOverhead)
            {
                return false;
            }

            if (png.Slice(at + 4, 4).SequenceEqual("IEND"u8))
            {
                return true;
            }

            at += ChunkOverhead + (int)length;
        }

        return false;
    }
}
