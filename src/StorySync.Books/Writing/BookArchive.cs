using System.IO.Compression;

namespace StorySync.Books;

/// <summary>A ZIP file whose bytes depend on what is in it alone.</summary>
/// <param name="date">The time of its files.</param>
internal sealed class BookArchive(DateTimeOffset date)
{
    private readonly List<(string Name, byte[] Bytes, CompressionLevel Level)> files = [];

    /// <summary>Adds a file that is compressed.</summary>
    public void Add(string name, byte[] bytes) => files.Add((name, bytes, CompressionLevel.Optimal));

    /// <summary>Adds a file as it is.</summary>
    public void AddStored(string name, byte[] bytes) => files.Add((name, bytes, CompressionLevel.NoCompression));

    public byte[] ToArray()
    {
        using var stream = new MemoryStream();
        using (var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (var (name, bytes, level) in files)
            {
                var entry = zip.CreateEntry(name, level);

                // An archive has no time zone.
                entry.LastWriteTime = new DateTimeOffset(date.UtcDateTime, TimeSpan.Zero);
                using var opened = entry.Open();
                opened.Write(bytes);
            }
        }

        return stream.ToArray();
    }
}
