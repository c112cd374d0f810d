using System.Globalization;

namespace StorySync.Diffusion.Weights;

/// <summary>Byte counts as people read them.</summary>
internal static class ByteSize
{
    private static readonly (double Size, string Unit, string Format)[] Units =
        [(1e9, "GB", "0.0#"), (1e6, "MB", "0.#"), (1e3, "kB", "0.#"), (1, "bytes", "0")];

    public static string Text(long bytes)
    {
        var unit = UnitOf(bytes);
        return $"{Number(bytes, unit)} {unit.Unit}";
    }

    /// <summary>"1.2 of 6.94 GB"; exact bytes where that would show the same number twice.</summary>
    public static string Progress(long present, long expected)
    {
        var unit = UnitOf(expected);
        var (a, b) = (Number(present, unit), Number(expected, unit));
        return a != b ? $"{a} of {b} {unit.Unit}" : $"{present} of {expected} bytes";
    }

    private static (double Size, string Unit, string Format) UnitOf(long bytes) =>
        Units.FirstOrDefault(unit => bytes >= unit.Size, Units[^1]);

    private static string Number(long bytes, (double Size, string Unit, string Format) unit) =>
        (bytes / unit.Size).ToString(unit.Format, CultureInfo.InvariantCulture);
}
