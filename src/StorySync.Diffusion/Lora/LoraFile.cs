using System.Text.Json;
using System.Text.RegularExpressions;
using StorySync.Diffusion.Weights;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Lora;

/// <summary>A LoRA file (Hu et al., arXiv 2106.09685): for some layers two small matrices whose product is added to the weight,
/// <c>W' = W + scale · alpha / rank · up · down</c>. Reads the layouts of diffusers / PEFT and of kohya's scripts.</summary>
internal sealed partial class LoraFile : IDisposable
{
    private readonly SafetensorsFile file;

    private LoraFile(SafetensorsFile file)
    {
        this.file = file;
        Layers = ReadLayers(file);
    }

    /// <summary>What the file holds, by the name that it has for a layer, component included: <c>unet.down_blocks.1.….to_q</c>,
    /// <c>lora_unet_down_blocks_1_…_to_q</c>.</summary>
    public IReadOnlyDictionary<string, LoraLayer> Layers { get; }

    /// <exception cref="ModelFileException">The file is missing, damaged, or no LoRA of a layout that is known.</exception>
    public static LoraFile Open(string path)
    {
        var file = SafetensorsFile.Open(path);
        try
        {
            return new LoraFile(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public void Dispose() => file.Dispose();

    private static Dictionary<string, LoraLayer> ReadLayers(SafetensorsFile file)
    {
        var layers = new Dictionary<string, LoraLayer>();
        foreach (var name in file.Tensors.Keys)
        {
            var match = TensorName().Match(name);
            if (!match.Success)
            {
                throw new ModelFileException(file.Path, $"'{name}' is no tensor of a LoRA in a known layout; "
                    + "expected names that end in .lora_A.weight and .lora_B.weight, or .lora_down.weight, .lora_up.weight and .alpha");
            }

            var layer = AttentionProcessorName().Replace(match.Groups["layer"].Value, found => found.Value == ".processor.to_out_lora" ? ".to_out.0" : "." + found.Groups[1].Value);
            var known = layers.GetValueOrDefault(layer) ?? new LoraLayer(file, layer);
            layers[layer] = match.Groups["part"].Value switch
            {
                "alpha" => known with { AlphaName = name },
                "lora_A.weight" or "lora_down.weight" or "lora_linear_layer.down.weight" or "down.weight" => known with { DownName = name },
                _ => known with { UpName = name },
            };
        }

        foreach (var (name, layer) in layers)
        {
            if (layer.DownName is null || layer.UpName is null)
            {
                throw new ModelFileException(file.Path, $"layer '{name}' has only one of its two matrices; the file is not whole");
            }
        }

        var alphas = MetadataAlphas(file);
        return layers.ToDictionary(l => l.Key, l => l.Value with { MetadataAlpha = alphas.GetValueOrDefault(l.Key.Split('.')[0]) });
    }

    /// <summary>PEFT's own alphas, which diffusers keeps in the header, by component.</summary>
    private static Dictionary<string, double?> MetadataAlphas(SafetensorsFile file)
    {
        var alphas = new Dictionary<string, double?>();
        if (file.Metadata.TryGetValue("lora_adapter_metadata", out var json))
        {
            using var metadata = JsonDocument.Parse(json);
            foreach (var entry in metadata.RootElement.EnumerateObject())
            {
                if (entry.Name.EndsWith(".lora_alpha", StringComparison.Ordinal) && entry.Value.ValueKind == JsonValueKind.Number)
                {
                    alphas[entry.Name[..^".lora_alpha".Length]] = entry.Value.GetDouble();
                }
            }
        }

        return alphas;
    }

    [GeneratedRegex(@"^(?<layer>.+?)\.(?<part>lora_A\.weight|lora_B\.weight|lora_down\.weight|lora_up\.weight|lora_linear_layer\.(?:down|up)\.weight|alpha|(?<=_lora\.)(?:down|up)\.weight)$")]
    private static partial Regex TensorName();

    /// <summary>Early diffusers files name an attention layer's projections after the processor that held them.</summary>
    [GeneratedRegex(@"\.processor\.(to_[qkv]|to_out)_lora")]
    private static partial Regex AttentionProcessorName();
}

/// <summary>What a LoRA adds to one layer.</summary>
internal sealed record LoraLayer(SafetensorsFile File, string Name)
{
    public string? DownName { get; init; }

    public string? UpName { get; init; }

    public string? AlphaName { get; init; }

    public double? MetadataAlpha { get; init; }

    /// <summary>The product of the two matrices, scaled by alpha / rank, in the shape of the weight; float32 on the weight's device.</summary>
    /// <exception cref="ModelFileException">The matrices do not fit the weight.</exception>
    public Tensor Delta(Tensor weight)
    {
        using var scope = NewDisposeScope();
        var (down, up) = (Read(DownName!, weight), Read(UpName!, weight));
        var rank = down.shape[0];
        if (up.shape[1] != rank || up.shape[0] != weight.shape[0] || down.numel() / rank != weight.numel() / weight.shape[0])
        {
            throw new ModelFileException(File.Path, $"layer '{Name}' has matrices of ({string.Join(", ", up.shape)}) and ({string.Join(", ", down.shape)}), "
                + $"which do not fit a weight of ({string.Join(", ", weight.shape)}); the LoRA was made for another model");
        }

        var alpha = AlphaName is null ? MetadataAlpha ?? rank : File.Read(AlphaName).to(float64).item<double>();
        return (up.flatten(1).matmul(down.flatten(1)) * (alpha / rank)).reshape(weight.shape).MoveToOuterDisposeScope();
    }

    private Tensor Read(string name, Tensor like) => File.Read(name).to(float32).to(like.device);
}
