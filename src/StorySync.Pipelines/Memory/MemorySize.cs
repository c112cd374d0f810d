using System.Globalization;

namespace StorySync.Pipelines;

/// <summary>Bytes as people read them.</summary>
internal static class MemorySize
{
    public static string Text(long bytes) => bytes < 1_000_000_000
        ? string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e6:0.#} MB")
        : string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e9:0.0#} GB");
}
