namespace StorySync.Pipelines;

/// <summary>The colors of a GIF's transparent pixels: its decoder leaves them black, Pillow gives the palette's.</summary>
internal static class GifColors
{
    private const int HeaderLength = 6;
    private const int ScreenLength = 7;
    private const int FrameLength = 9;
    private const byte Extension = 0x21;
    private const byte Frame = 0x2C;
    private const byte GraphicControl = 0xF9;

    /// <summary>Returns the same file with a first frame that has no transparent entry, and the color of the pixels that the frame does not
    /// cover: that of the transparent entry, or of the first one; null if the file has no first frame.</summary>
    /// <param name="encoded">The whole file.</param>
    public static (byte[] Opaque, uint Uncovered)? WithoutTransparency(byte[] encoded)
    {
        var opaque = (byte[])encoded.Clone();
        var entry = 0;
        var table = Table(HeaderLength + ScreenLength, At(HeaderLength + 4));
        var at = table.End;
        while (At(at) == Extension)
        {
            var blocks = at + 2;
            if (At(at + 1) == GraphicControl && At(blocks) >= 4 && (At(blocks + 1) & 1) != 0)
            {
                opaque[blocks + 1] &= 0xFE;
                entry = At(blocks + 4);
            }

            for (at = blocks; At(at) > 0;)
            {
                at += At(at) + 1;
            }

            at++;
        }

        return At(at) == Frame ? (opaque, Color(at)) : null;

        int At(int index) => index < encoded.Length ? encoded[index] : 0;

        (int Start, int End) Table(int start, int flags) => (start, (flags & 0x80) == 0 ? start : start + (3 << ((flags & 7) + 1)));

        // An entry that the palette does not have is black, and without a palette the entries are grays.
        uint Color(int frame)
        {
            var own = Table(frame + FrameLength + 1, At(frame + FrameLength));
            var (start, end) = own.Start < own.End ? own : table;
            var color = start + (3 * entry);
            return start == end ? (uint)entry * 0x010101
                : color < end ? (uint)(At(color) | (At(color + 1) << 8) | (At(color + 2) << 16)) : 0;
        }
    }
}
