using System.Text.Json;
using System.Text.RegularExpressions;
using StorySync.Diffusion.Weights;

namespace StorySync.Hub;

/// <summary>The files of a repository at one commit.</summary>
/// <param name="Commit">The commit.</param>
/// <param name="Files">The files by path.</param>
internal sealed partial record HubListing(string Commit, IReadOnlyDictionary<string, HubFile> Files)
{
    /// <summary>What the pipelines load; a repository can have more, such as a safety checker.</summary>
    private static readonly string[] Components =
    [
        "scheduler", "tokenizer", "tokenizer_2", "text_encoder", "text_encoder_2", "unet", "transformer", "vae", "movq",
    ];

    private static readonly string[] TextFiles = [".json", ".txt", ".model"];

    /// <summary>Reads the server's answer to the question for a repository with its blobs.</summary>
    /// <exception cref="FormatException">It is not of the form that Hugging Face documents, or names a file outside of the repository.
    /// </exception>
    public static HubListing Parse(string json)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            var commit = document.RootElement.GetProperty("sha").GetString() ?? "";
            if (!CommitName().IsMatch(commit))
            {
                throw new FormatException($"'{commit}' is not a commit");
            }

            var files = new Dictionary<string, HubFile>(StringComparer.Ordinal);
            foreach (var entry in document.RootElement.GetProperty("siblings").EnumerateArray())
            {
                var path = entry.GetProperty("rfilename").GetString() ?? "";
                if (!FileName().IsMatch(path) || path.Split('/').Any(part => part is "" or "." or ".."))
                {
                    throw new FormatException($"'{path}' is not a path of a file");
                }

                var lfs = entry.TryGetProperty("lfs", out var large) && large.ValueKind == JsonValueKind.Object;
                var hash = (lfs ? large.GetProperty("sha256") : entry.GetProperty("blobId")).GetString() ?? "";
                var size = (lfs ? large : entry).GetProperty("size").GetInt64();
                if (!HashName().IsMatch(hash) || hash.Length != (lfs ? 64 : 40) || size < 0)
                {
                    throw new FormatException($"'{path}' has the hash '{hash}' and {size} bytes");
                }

                files[path] = new HubFile(path, size, hash);
            }

            return new HubListing(commit, files);
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new FormatException("it is no JSON of a repository with its blobs", exception);
        }
    }

    /// <summary>Gets the files that are read before the weights: configs, tokenizers, the indices of weights in several files.</summary>
    /// <param name="variant">The variant to prefer.</param>
    public IEnumerable<HubFile> Small(string? variant) => Folders().SelectMany(folder =>
    {
        var names = Names(folder);
        var weights = WeightFiles.Choose(names, variant);
        return names
            .Where(name => name.Contains(".safetensors.index", StringComparison.Ordinal)
                ? weights == (name, true)
                : TextFiles.Contains(System.IO.Path.GetExtension(name)) && Files[Join(folder, name)].Size <= MaxTextBytes)
            .Select(name => Files[Join(folder, name)]);
    }).Concat(HasIndex ? Files.Values.Where(file => file.Path is "model_index.json" or "storysync.json") : []);

    /// <summary>Gets the files of weights.</summary>
    /// <param name="variant">The variant to prefer.</param>
    /// <param name="read">Reads a small file.</param>
    /// <exception cref="FormatException">An index names a file that the repository does not have.</exception>
    public IEnumerable<HubFile> Weights(string? variant, Func<HubFile, string> read)
    {
        foreach (var folder in Folders())
        {
            if (WeightFiles.Choose(Names(folder), variant) is not (var name, var isIndex))
            {
                continue;
            }

            foreach (var file in isIndex ? Shards(read(Files[Join(folder, name)])) : [name])
            {
                yield return Files.GetValueOrDefault(Join(folder, file))
                    ?? throw new FormatException($"'{Join(folder, name)}' names '{file}', which the repository does not have");
            }
        }
    }

    private const long MaxTextBytes = 64 << 20;

    private bool HasIndex => Files.ContainsKey("model_index.json");

    /// <summary>A model with an index has a folder for each component, any other is one component.</summary>
    private string[] Folders() => HasIndex ? Components : [""];

    private HashSet<string> Names(string folder)
    {
        var start = Join(folder, "");
        return [.. Files.Keys.Where(path => path.StartsWith(start, StringComparison.Ordinal)).Select(path => path[start.Length..])
            .Where(name => !name.Contains('/', StringComparison.Ordinal))];
    }

    private static IEnumerable<string> Shards(string index)
    {
        try
        {
            using var document = JsonDocument.Parse(index);
            return [.. document.RootElement.GetProperty("weight_map").EnumerateObject()
                .Select(entry => entry.Value.GetString() ?? "").Distinct()];
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new FormatException("an index of weights has no 'weight_map'", exception);
        }
    }

    private static string Join(string folder, string name) => folder.Length == 0 ? name : $"{folder}/{name}";

    [GeneratedRegex(@"^[0-9a-f]{40}\z")]
    private static partial Regex CommitName();

    [GeneratedRegex(@"^[0-9a-f]+\z")]
    private static partial Regex HashName();

    [GeneratedRegex(@"^[^\\:*?""<>|\p{C}]+\z")]
    private static partial Regex FileName();
}
