using System.Buffers.Binary;
using System.Text;

namespace StorySync.Attention.Native;

/// <summary>The table of symbol versions that a 64-bit little-endian ELF library needs (<c>.gnu.version_r</c>, described in the Linux
/// Standard Base under "Symbol Versioning").</summary>
internal static class ElfVersionNeeds
{
    private const uint VersionNeedsSection = 0x6ffffffe;
    private const byte Weak = 2;

    /// <summary>Marks a needed version as weak, so that a loader without it warns at most.</summary>
    /// <param name="image">The library; changed in place.</param>
    /// <param name="version">The version's name.</param>
    /// <returns>Whether the version was there.</returns>
    public static bool TryWeaken(Span<byte> image, string version)
    {
        ReadOnlySpan<byte> magic = [0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1];
        if (!image.StartsWith(magic))
        {
            return false;
        }

        try
        {
            return WeakenIn(image, Encoding.ASCII.GetBytes(version));
        }
        catch (ArgumentOutOfRangeException)
        {
            return false;
        }
        catch (OverflowException)
        {
            return false;
        }
    }

    private static bool WeakenIn(Span<byte> image, ReadOnlySpan<byte> version)
    {
        var sections = Int64(image, 0x28);
        var sectionSize = UInt16(image, 0x3a);
        var count = UInt16(image, 0x3c);
        for (var i = 0; i < count; i++)
        {
            var section = checked(sections + (i * sectionSize));
            if (UInt32(image, section + 4) != VersionNeedsSection)
            {
                continue;
            }

            var names = Int64(image, checked(sections + ((int)UInt32(image, section + 0x28) * sectionSize)) + 0x18);
            var needs = (Offset: Int64(image, section + 0x18), Names: names);
            return WeakenInTable(image, needs.Offset, needs.Names, version);
        }

        return false;
    }

    private static bool WeakenInTable(Span<byte> image, int library, int names, ReadOnlySpan<byte> version)
    {
        while (true)
        {
            var entry = library + (int)UInt32(image, library + 8);
            for (var left = UInt16(image, library + 2); left > 0; left--)
            {
                var name = image[(names + (int)UInt32(image, entry + 8))..];
                if (name[..name.IndexOf((byte)0)].SequenceEqual(version))
                {
                    image[entry + 4] |= Weak;
                    return true;
                }

                entry += (int)UInt32(image, entry + 12);
            }

            var next = (int)UInt32(image, library + 12);
            if (next == 0)
            {
                return false;
            }

            library += next;
        }
    }

    private static ushort UInt16(ReadOnlySpan<byte> image, int at) => BinaryPrimitives.ReadUInt16LittleEndian(image[at..]);

    private static uint UInt32(ReadOnlySpan<byte> image, int at) => BinaryPrimitives.ReadUInt32LittleEndian(image[at..]);

    private static int Int64(ReadOnlySpan<byte> image, int at) => checked((int)BinaryPrimitives.ReadInt64LittleEndian(image[at..]));
}
