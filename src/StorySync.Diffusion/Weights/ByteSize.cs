using System.Globalization;

namespace StorySync.Diffusion.Weights;

/// <summary>Byte counts as people read them.</summary>
internal static class ByteSize
{
    private static readonly (double Size, string Unit)[] Units = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];

    public static string Text(long bytes)
    {
        var (size, unit) = UnitOf(bytes);
        return $"{Number(bytes, size)} {unit}";
    }

    /// <summary>"1.2 of 6.9 GB"; exact bytes where that would show the same number twice.</summary>
    public static string Progress(long present, long expected)
    {
        var (size, unit) = UnitOf(expected);
        var (a, b) = (Number(present, size), Number(expected, size));
        return a != b ? $"{a} of {b} {unit}" : $"{present} of {expected} bytes";
    }

    private static (double Size, string Unit) UnitOf(long bytes) => Units.FirstOrDefault(unit => bytes >= unit.Size, (1, "bytes"));

    private static string Number(long bytes, double size) =>
        (bytes / size).ToString(size == 1 ? "0" : "0.0", CultureInfo.InvariantCulture);
}
