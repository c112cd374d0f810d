using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Microsoft.Extensions.Options;

namespace StorySync.AspNetCore;

/// <summary>Images that were asked for by their addresses, which nobody can guess; for some minutes, and as many as there is room
/// for.</summary>
internal sealed class ImageStore(IOptions<StorySyncServerOptions> options, TimeProvider time)
{
    private readonly ConcurrentDictionary<string, Entry> entries = new();
    private readonly Queue<(string Name, Entry Entry)> oldest = [];
    private readonly Lock monitor = new();
    private long bytes;

    /// <summary>Keeps an image.</summary>
    /// <returns>Its name, with the format's extension.</returns>
    public string Add(byte[] file, string mediaType)
    {
        var name = $"{RandomNumberGenerator.GetHexString(32, lowercase: true)}.{mediaType["image/".Length..]}";
        var entry = new Entry(file, mediaType, time.GetUtcNow() + options.Value.ImageLifetime);
        lock (monitor)
        {
            entries[name] = entry;
            oldest.Enqueue((name, entry));
            bytes += file.Length;
            while (oldest.Count > 1 && (bytes > options.Value.MaxKeptBytes || oldest.Peek().Entry.End <= time.GetUtcNow()))
            {
                var (last, released) = oldest.Dequeue();
                entries.TryRemove(last, out _);
                bytes -= released.File.Length;
            }
        }

        return name;
    }

    public bool TryGet(string name, [NotNullWhen(true)] out Entry? entry) =>
        entries.TryGetValue(name, out entry) && entry.End > time.GetUtcNow();

    /// <summary>An image as it is sent.</summary>
    internal sealed record Entry(byte[] File, string MediaType, DateTimeOffset End);
}
