using System.Text.Json;
using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>A checkpoint in several files, described by a <c>….safetensors.index.json</c>.</summary>
internal sealed class ShardedSafetensors : IMappedTensorSource, IBlockSource
{
    private readonly List<SafetensorsFile> shards = [];
    private readonly Dictionary<string, SafetensorsFile> owners = new(StringComparer.Ordinal);

    private ShardedSafetensors(string path)
    {
        Path = path;
    }

    /// <inheritdoc/>
    public string Path { get; }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, TensorInfo> Tensors { get; private set; } = new Dictionary<string, TensorInfo>();

    /// <summary>Opens the index and every file it names.</summary>
    /// <param name="path">The index; its files are in the same folder.</param>
    /// <exception cref="ModelFileException">The index or a file is missing or damaged, they contradict each other, or the index
    /// names a file outside its folder.</exception>
    public static ShardedSafetensors Open(string path) => Open(path, maps: true);

    /// <inheritdoc cref="SafetensorsFile.Open(string, bool)"/>
    internal static ShardedSafetensors Open(string path, bool maps)
    {
        var source = new ShardedSafetensors(path);
        try
        {
            source.OpenShards(ReadWeightMap(path), maps);
            return source;
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public Tensor Read(string name) => owners.TryGetValue(name, out var shard)
        ? shard.Read(name)
        : throw new KeyNotFoundException($"{Path}: there is no tensor '{name}' among its {owners.Count}.");

    StoredBlocks? IBlockSource.ReadBlocks(string name) => owners.TryGetValue(name, out var shard)
        ? ((IBlockSource)shard).ReadBlocks(name) : null;

    void IMappedTensorSource.Hold(string name) => ((IMappedTensorSource)owners[name]).Hold(name);

    IEnumerable<MappedFile> IMappedTensorSource.FilesInUse => shards.SelectMany(shard => ((IMappedTensorSource)shard).FilesInUse);

    bool IMappedTensorSource.IsView(string name) => owners.TryGetValue(name, out var shard) && ((IMappedTensorSource)shard).IsView(name);

    /// <inheritdoc/>
    public void Dispose() => shards.ForEach(shard => shard.Dispose());

    private void OpenShards(Dictionary<string, string> weightMap, bool maps)
    {
        var folder = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(Path))!;
        foreach (var names in weightMap.GroupBy(pair => pair.Value, pair => pair.Key))
        {
            var shard = SafetensorsFile.Open(System.IO.Path.Combine(folder, CheckName(names.Key)), maps);
            shards.Add(shard);
            foreach (var name in names)
            {
                owners[name] = shard.Tensors.ContainsKey(name)
                    ? shard
                    : throw new ModelFileException(Path,
                        $"it says that '{name}' is in {names.Key}, which does not hold it; download both again");
            }
        }

        // What a file holds beyond the index is not hidden: binding it reports it.
        foreach (var shard in shards)
        {
            foreach (var name in shard.Tensors.Keys)
            {
                owners.TryAdd(name, shard);
            }
        }

        Tensors = owners.ToDictionary(pair => pair.Key, pair => pair.Value.Tensors[pair.Key], StringComparer.Ordinal);
    }

    private string CheckName(string file) => file.Length > 0 && file.IndexOfAny(['/', '\\', ':', '\0']) < 0 && file is not ("." or "..")
        ? file
        : throw new ModelFileException(Path, $"it names the file '{file}'; only files next to the index are opened");

    private static Dictionary<string, string> ReadWeightMap(string path) => JsonFile.Read(path, root =>
    {
        if (!root.TryGetProperty("weight_map", out var map) || map.ValueKind != JsonValueKind.Object)
        {
            throw new ModelFileException(path, "it has no object 'weight_map', so it is not an index of a sharded checkpoint");
        }

        return map.EnumerateObject().ToDictionary(
            entry => entry.Name,
            entry => entry.Value.ValueKind == JsonValueKind.String
                ? entry.Value.GetString()!
                : throw new ModelFileException(path, $"entry '{entry.Name}' of 'weight_map' is {entry.Value}; it must be a file name"),
            StringComparer.Ordinal);
    });
}
