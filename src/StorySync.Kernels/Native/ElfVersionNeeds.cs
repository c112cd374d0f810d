using System.Buffers.Binary;
using System.Text;

namespace StorySync.Kernels;

/// <summary>The table of symbol versions that a 64-bit little-endian ELF library needs (<c>.gnu.version_r</c>, described in the Linux
/// Standard Base under "Symbol Versioning").</summary>
internal static class ElfVersionNeeds
{
    private const uint VersionNeedsSection = 0x6ffffffe;
    private const byte Weak = 2;

    /// <summary>Marks a needed version as weak, so that a loader without it warns at most.</summary>
    /// <param name="image">The library; changed in place.</param>
    /// <param name="version">The version's name.</param>
    /// <returns>Whether the version was there; <see langword="false"/> also if the file is not such a library.</returns>
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
        catch (Exception e) when (e is ArgumentOutOfRangeException or OverflowException)
        {
            // An offset points out of the image.
            return false;
        }
    }

    private static bool WeakenIn(Span<byte> image, ReadOnlySpan<byte> version)
    {
        var sections = Int64(image, 0x28);
        var size = UInt16(image, 0x3a);
        var count = UInt16(image, 0x3c);
        for (var i = 0; i < count; i++)
        {
            var section = Section(i);
            if (UInt32(image, section + 4) == VersionNeedsSection)
            {
                var names = Section(Int32(image, section + 0x28));
                return WeakenInTable(image, Int64(image, section + 0x18), Int64(image, names + 0x18), version);
            }
        }

        return false;

        int Section(int index) => checked(sections + (index * size));
    }

    /// <summary>The table is a list of libraries, each with a list of versions. A step in either list is a distance to the next
    /// element, 0 at the end; a distance is not negative, so that a walk ends even on nonsense.</summary>
    private static bool WeakenInTable(Span<byte> image, int library, int names, ReadOnlySpan<byte> version)
    {
        int toLibrary, toEntry;
        do
        {
            var entry = checked(library + Int32(image, library + 8));
            do
            {
                var name = image[checked(names + Int32(image, entry + 8))..];
                if (name.StartsWith(version) && name[version.Length..].StartsWith((byte)0))
                {
                    image.Slice(entry + 4, 1)[0] |= Weak;
                    return true;
                }

                toEntry = Int32(image, entry + 12);
                entry = checked(entry + toEntry);
            }
            while (toEntry > 0);

            toLibrary = Int32(image, library + 12);
            library = checked(library + toLibrary);
        }
        while (toLibrary > 0);

        return false;
    }

    private static ushort UInt16(ReadOnlySpan<byte> image, int at) => BinaryPrimitives.ReadUInt16LittleEndian(image[at..]);

    private static uint UInt32(ReadOnlySpan<byte> image, int at) => BinaryPrimitives.ReadUInt32LittleEndian(image[at..]);

    private static int Int32(ReadOnlySpan<byte> image, int at) => checked((int)UInt32(image, at));

    private static int Int64(ReadOnlySpan<byte> image, int at) =>
        checked((int)BinaryPrimitives.ReadUInt64LittleEndian(image[at..]));
}
