using System.Buffers.Binary;
using System.Text;

namespace StorySync.Pipelines;

/// <summary>EXIF data that hold nothing but a comment (CIPA DC-008, tag <c>UserComment</c>).</summary>
internal static class ExifComment
{
    private const ushort ExifDirectory = 0x8769;
    private const ushort ExifVersion = 0x9000;
    private const ushort UserComment = 0x9286;
    private const ushort Long = 4;
    private const ushort Undefined = 7;
    private const int EntryLength = 12;

    private static ReadOnlySpan<byte> Unicode => "UNICODE\0"u8;

    private static ReadOnlySpan<byte> Ascii => "ASCII\0\0\0"u8;

    /// <summary>Writes a comment, in UTF-16 as other tools do.</summary>
    public static byte[] Write(string comment)
    {
        const int Inner = 8 + 2 + EntryLength + 4;
        const int Text = Inner + 2 + (2 * EntryLength) + 4;
        byte[] text = [.. Unicode, .. Encoding.BigEndianUnicode.GetBytes(comment)];
        var exif = new byte[Text + text.Length];
        "MM\0*"u8.CopyTo(exif);
        BinaryPrimitives.WriteUInt32BigEndian(exif.AsSpan(4), 8);
        BinaryPrimitives.WriteUInt16BigEndian(exif.AsSpan(8), 1);
        Entry(10, ExifDirectory, Long, 1, Inner);
        BinaryPrimitives.WriteUInt16BigEndian(exif.AsSpan(Inner), 2);
        Entry(Inner + 2, ExifVersion, Undefined, 4, BinaryPrimitives.ReadUInt32BigEndian("0232"u8));
        Entry(Inner + 2 + EntryLength, UserComment, Undefined, (uint)text.Length, Text);
        text.CopyTo(exif, Text);
        return exif;

        void Entry(int at, ushort tag, ushort type, uint count, uint value)
        {
            BinaryPrimitives.WriteUInt16BigEndian(exif.AsSpan(at), tag);
            BinaryPrimitives.WriteUInt16BigEndian(exif.AsSpan(at + 2), type);
            BinaryPrimitives.WriteUInt32BigEndian(exif.AsSpan(at + 4), count);
            BinaryPrimitives.WriteUInt32BigEndian(exif.AsSpan(at + 8), value);
        }
    }

    /// <summary>Reads the comment; null where there is none, or the data cannot be read.</summary>
    public static string? Read(ReadOnlySpan<byte> exif)
    {
        exif = exif.StartsWith("Exif\0\0"u8) ? exif[6..] : exif;
        var isLittleEndian = exif.StartsWith("II*\0"u8);
        if ((!isLittleEndian && !exif.StartsWith("MM\0*"u8)) || exif.Length < 8
            || Find(exif, isLittleEndian, Number(exif[4..], isLittleEndian), ExifDirectory) is not { } pointer
            || Find(exif, isLittleEndian, pointer.Value, UserComment) is not { } comment
            || comment.Count < 8 || comment.Value > exif.Length || comment.Count > exif.Length - comment.Value)
        {
            return null;
        }

        var text = exif.Slice((int)comment.Value, (int)comment.Count);
        var encoding = text.StartsWith(Unicode) ? (isLittleEndian ? Encoding.Unicode : Encoding.BigEndianUnicode)
            : text.StartsWith(Ascii) ? Encoding.ASCII
            : null;
        return encoding?.GetString(text[8..]).TrimEnd('\0');
    }

    private static (uint Count, uint Value)? Find(ReadOnlySpan<byte> exif, bool isLittleEndian, uint directory, ushort tag)
    {
        if (directory > exif.Length - 2)
        {
            return null;
        }

        var entries = Short(exif[(int)directory..], isLittleEndian);
        for (var (i, at) = (0, (int)directory + 2); i < entries && at + EntryLength <= exif.Length; i++, at += EntryLength)
        {
            if (Short(exif[at..], isLittleEndian) == tag)
            {
                return (Number(exif[(at + 4)..], isLittleEndian), Number(exif[(at + 8)..], isLittleEndian));
            }
        }

        return null;
    }

    private static ushort Short(ReadOnlySpan<byte> data, bool isLittleEndian) =>
        isLittleEndian ? BinaryPrimitives.ReadUInt16LittleEndian(data) : BinaryPrimitives.ReadUInt16BigEndian(data);

    private static uint Number(ReadOnlySpan<byte> data, bool isLittleEndian) =>
        isLittleEndian ? BinaryPrimitives.ReadUInt32LittleEndian(data) : BinaryPrimitives.ReadUInt32BigEndian(data);
}
