using System.Globalization;
using System.Text;
using System.Text.Json;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>Writes a model in the folder layout of diffusers, as its <c>save_pretrained</c> does: configs, vocabularies, and weights in
/// files of a limited size with an index. One tensor is in memory at a time; views of mapped files are not copied.</summary>
/// <param name="model">The model: a single file, or a folder.</param>
/// <param name="dtype">The type of all weights in floating point; null keeps the stored ones, and takes bfloat16 where they are stored in 8
/// bits or fewer.</param>
/// <param name="shardSize">The most bytes of tensors in a file.</param>
internal sealed class FolderWriter(ModelFolder model, ScalarType? dtype, long shardSize)
{
    private const string Positions = ".position_ids", Embedding = "encoder.embed_tokens.weight", Shared = "shared.weight";

    private static readonly string[] SmallFiles =
    [
        "config.json", "scheduler_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.json",
        "vocab.json", "merges.txt", "spiece.model",
    ];

    private static readonly IReadOnlyDictionary<string, string> Metadata = new Dictionary<string, string> { ["format"] = "pt" };

    private readonly Dictionary<ScalarType, long> bytes = [];

    /// <summary>Gets the type in floating point of most of the bytes that were written.</summary>
    public ScalarType MainType => bytes.Where(entry => entry.Key is ScalarType.Float32 or ScalarType.Float16 or ScalarType.BFloat16)
        .OrderByDescending(entry => entry.Value).Select(entry => entry.Key).FirstOrDefault(ScalarType.Float32);

    /// <summary>Writes the small files of the model itself.</summary>
    /// <param name="folder">An existing folder.</param>
    public void WriteIndex(string folder)
    {
        foreach (var file in new[] { "model_index.json", "storysync.json" })
        {
            if (model.Contents.TryRead("", file) is { } content)
            {
                File.WriteAllBytes(Path.Combine(folder, file), content.Bytes);
            }
        }
    }

    /// <summary>Writes a component.</summary>
    /// <param name="component">Its name.</param>
    /// <param name="folder">The model's folder.</param>
    /// <param name="variant">The variant of the weights to take.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked between tensors.</param>
    /// <exception cref="ModelFileException">A file is missing or damaged.</exception>
    public void WriteComponent(string component, string folder, string? variant, CancellationToken cancellationToken)
    {
        var path = Path.Combine(folder, component);
        var hasWeights = false;
        foreach (var file in SmallFiles)
        {
            if (model.TryReadFile(component, file) is { } content)
            {
                Directory.CreateDirectory(path);
                File.WriteAllBytes(Path.Combine(path, file), content.Bytes);
                hasWeights |= file == "config.json";
            }
        }

        if (hasWeights)
        {
            using var weights = model.OpenWeights(component, variant);
            WriteWeights(weights, path, model.Components[component].Library == "diffusers" ? WeightFiles.DiffusersStem : "model",
                cancellationToken);
        }
    }

    private void WriteWeights(ITensorSource weights, string folder, string stem, CancellationToken cancellationToken)
    {
        var tensors = weights.Tensors.Values.Where(info => IsWeight(info.Name, weights)).OrderBy(info => info.Name, StringComparer.Ordinal)
            .Select(info => new TensorInfo(info.Name, DtypeOf(info, weights), info.Shape)).ToList();
        var shards = Shards(tensors);
        var names = shards.Count == 1 ? [$"{stem}.safetensors"]
            : Enumerable.Range(1, shards.Count).Select(i => string.Create(
                CultureInfo.InvariantCulture, $"{stem}-{i:D5}-of-{shards.Count:D5}.safetensors")).ToArray();
        foreach (var (name, shard) in names.Zip(shards))
        {
            var types = shard.ToDictionary(info => info.Name, info => info.Dtype.ToScalarType()!.Value, StringComparer.Ordinal);
            SafetensorsWriter.Write(
                Path.Combine(folder, name), shard, tensor => weights.Read(tensor).to(types[tensor]), Metadata, cancellationToken);
            Count(shard);
        }

        if (shards.Count > 1)
        {
            var places = names.Zip(shards).SelectMany(pair => pair.Second.Select(info => (info.Name, File: pair.First)))
                .OrderBy(place => place.Name, StringComparer.Ordinal);
            var index = new
            {
                metadata = new { total_size = tensors.Sum(info => info.ByteCount) },
                weight_map = places.ToDictionary(place => place.Name, place => place.File, StringComparer.Ordinal),
            };
            File.WriteAllBytes(Path.Combine(folder, $"{stem}.safetensors.index.json"), JsonSerializer.SerializeToUtf8Bytes(index));
        }
    }

    private void Count(IEnumerable<TensorInfo> tensors)
    {
        foreach (var info in tensors)
        {
            var type = info.Dtype.ToScalarType()!.Value;
            bytes[type] = bytes.GetValueOrDefault(type) + info.ByteCount;
        }
    }

    /// <summary>Older files of CLIP hold the numbers of positions, and T5's table of tokens can be there under both of its names.</summary>
    private static bool IsWeight(string name, ITensorSource weights) => !name.EndsWith(Positions, StringComparison.Ordinal)
        && !(name == Embedding && weights.Tensors.ContainsKey(Shared));

    private SafetensorsDtype DtypeOf(TensorInfo info, ITensorSource weights)
    {
        if (!info.Dtype.IsReadableFloat())
        {
            return info.Dtype.ToScalarType() is not null ? info.Dtype
                : throw new ModelFileException(weights.Path, $"'{info.Name}' is stored as {info.Dtype}, which cannot be read");
        }

        if (dtype is { } wanted)
        {
            return wanted.ToSafetensors()!.Value;
        }

        using var blocks = (weights as IBlockSource)?.ReadBlocks(info.Name);
        return blocks is null && info.Dtype.ToBlockFormat() is null ? info.Dtype : SafetensorsDtype.BF16;
    }

    /// <summary>Fills files in the order of the names; a tensor that is larger than a file may be has one of its own.</summary>
    private List<List<TensorInfo>> Shards(List<TensorInfo> tensors)
    {
        List<List<TensorInfo>> shards = [[]];
        var size = 0L;
        foreach (var info in tensors)
        {
            if (size > 0 && size + info.ByteCount > shardSize)
            {
                shards.Add([]);
                size = 0;
            }

            shards[^1].Add(info);
            size += info.ByteCount;
        }

        return shards;
    }
}
