using System.Buffers.Binary;

namespace StorySync.Pipelines;

/// <summary>Looks for the end of a JPEG's image (ITU-T T.81, annex B). A progressive one that lacks scans is decoded without an error, to a
/// coarse image.</summary>
internal static class JpegEnd
{
    private const byte Marker = 0xFF;
    private const byte FirstRestart = 0xD0;
    private const byte StartOfImage = 0xD8;
    private const byte EndOfImage = 0xD9;
    private const byte StartOfScan = 0xDA;
    private const byte Temporary = 0x01;

    /// <summary>Returns a value indicating whether the marker of the end follows a scan.</summary>
    /// <param name="jpeg">The whole file.</param>
    public static bool IsThere(ReadOnlySpan<byte> jpeg)
    {
        var hasScan = false;
        while (true)
        {
            // Between segments, and in a scan's data, a marker is 0xFF and anything but 0xFF and 0.
            var at = jpeg.IndexOf(Marker);
            if (at < 0 || at + 1 >= jpeg.Length)
            {
                return false;
            }

            var code = jpeg[at + 1];
            jpeg = jpeg[(at + (code == Marker ? 1 : 2))..];
            switch (code)
            {
                case Marker or 0 or Temporary or (>= FirstRestart and <= StartOfImage):
                    continue;
                case EndOfImage when hasScan:
                    return true;
                case EndOfImage:
                    return false;
            }

            hasScan |= code == StartOfScan;
            var length = jpeg.Length < 2 ? 0 : BinaryPrimitives.ReadUInt16BigEndian(jpeg);
            if (length < 2 || length > jpeg.Length)
            {
                return false;
            }

            jpeg = jpeg[length..];
        }
    }
}
