using System.Text.RegularExpressions;
using StorySync.Diffusion.Weights;

namespace StorySync.Diffusion.Lora;

/// <summary>A LoRA file (Hu et al., arXiv 2106.09685): for some layers two small matrices whose product is added to the weight,
/// <c>W' = W + scale · alpha / rank · up · down</c>, or what LoCon, LoHa, LoKr and DoRA have in its place (<see cref="LoraProduct"/>).
/// Reads the layouts of diffusers / PEFT, kohya's scripts, ComfyUI, OneTrainer, XLabs and the authors of the models.</summary>
internal sealed partial class LoraFile : IDisposable
{
    private const string Alpha = "alpha";

    private LoraFile(SafetensorsFile file)
    {
        File = file;
        Layers = ReadLayers(file);
    }

    /// <summary>Gets what the file holds, by the name that it has for a layer, component included: <c>unet.down_blocks.1.….to_q</c>,
    /// <c>lora_unet_down_blocks_1_…_to_q</c>. Layers of rank 0, which add nothing, are left out.</summary>
    public IReadOnlyDictionary<string, LoraLayer> Layers { get; }

    /// <summary>Gets the file itself.</summary>
    public SafetensorsFile File { get; }

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

    /// <exception cref="ModelFileException">The file is not what it was when it was opened.</exception>
    public void ThrowIfChanged() => File.ThrowIfChanged();

    public void Dispose() => File.Dispose();

    private static Dictionary<string, LoraLayer> ReadLayers(SafetensorsFile file)
    {
        if (file.Tensors.Count == 0)
        {
            throw new ModelFileException(file.Path, "it holds no tensors, so it is no LoRA; expected at least one layer's matrices");
        }

        var parts = new Dictionary<string, Dictionary<string, TensorInfo>>();
        foreach (var name in file.Tensors.Keys)
        {
            var match = TensorName().Match(name);
            if (!match.Success)
            {
                throw new ModelFileException(file.Path, LoraLayout.Unsupported(name) is { } kind
                    ? $"'{name}' belongs to {kind}; expected a LoRA, in the layout of diffusers / PEFT, "
                        + "kohya's scripts, ComfyUI, OneTrainer or XLabs"
                    : $"'{name}' is not a tensor of a LoRA in a known layout; "
                        + "expected names that end in .lora_A.weight and .lora_B.weight, or .lora_down.weight, .lora_up.weight and .alpha");
            }

            var layer = LoraNames.Current(match.Groups["layer"].Value);
            if (!parts.TryGetValue(layer, out var known))
            {
                parts.Add(layer, known = []);
            }

            var part = PartOf(match.Groups["part"].Value);
            if (!known.TryAdd(part, file.Tensors[name]))
            {
                throw new ModelFileException(file.Path, $"layer '{layer}' is there twice: '{known[part].Name}' and '{name}'");
            }
        }

        var metadata = LoraMetadata.Read(file);
        var layers = parts.Select(part => Layer(file, part.Key, part.Value, metadata)).ToList();
        return layers.Any(layer => layer.Product.Rank != 0)
            ? layers.Where(layer => layer.Product.Rank != 0).ToDictionary(layer => layer.Name)
            : throw new ModelFileException(file.Path, $"every one of its {layers.Count} layers has rank 0, so it changes nothing");
    }

    private static string PartOf(string name) => name switch
    {
        Alpha => Alpha,
        "lora_mid.weight" => LoraProduct.Mid,
        "dora_scale" => LoraProduct.Magnitude,
        _ when name.StartsWith("lora_magnitude_vector", StringComparison.Ordinal) => LoraProduct.Magnitude,
        _ when name.StartsWith("hada_", StringComparison.Ordinal) || name.StartsWith("lokr_", StringComparison.Ordinal) => name,
        _ when name.StartsWith("lora_A", StringComparison.Ordinal) || name.EndsWith("down.weight", StringComparison.Ordinal) =>
            LoraProduct.Down,
        _ => LoraProduct.Up,
    };

    private static LoraLayer Layer(SafetensorsFile file, string name, Dictionary<string, TensorInfo> parts, LoraMetadata metadata)
    {
        parts.Remove(Alpha, out var alpha);
        LoraProduct product;
        try
        {
            product = LoraProduct.Of(parts);
        }
        catch (Exception exception) when (exception is FormatException or OverflowException)
        {
            throw new ModelFileException(file.Path, $"layer '{name}' "
                + (exception is FormatException ? exception.Message : "has tensors that make more numbers than can be counted"), exception);
        }

        foreach (var part in parts.Values)
        {
            if (!part.Dtype.IsReadableFloat())
            {
                throw new ModelFileException(file.Path, $"'{part.Name}' is stored as {part.Dtype}; expected BF16, F16, F32 or F64");
            }
        }

        if (metadata.IsDora(name) && !parts.ContainsKey(LoraProduct.Magnitude))
        {
            throw new ModelFileException(file.Path,
                $"layer '{name}' lacks its lora_magnitude_vector, where {LoraMetadata.Key} says that it is a DoRA; the file is not whole");
        }

        return new LoraLayer(file, name, product, product.Rank switch { 0 => 0, null => 1, var rank => Scale(rank.Value) });

        double Scale(long rank)
        {
            if (alpha is null)
            {
                return metadata.ScaleOf(name, rank) ?? 1;
            }

            if (metadata.Holds(name))
            {
                throw new ModelFileException(file.Path,
                    $"layer '{name}' has an alpha of its own, and {LoraMetadata.Key} names one too; expected one of the two");
            }

            return ReadAlpha(file, name, alpha) / rank;
        }
    }

    private static double ReadAlpha(SafetensorsFile file, string layer, TensorInfo alpha)
    {
        if (alpha.Shape.Any(size => size != 1))
        {
            throw new ModelFileException(file.Path,
                $"the alpha of layer '{layer}' has the shape {ShapeText.Of(alpha.Shape)}; it must be one number");
        }

        using var tensor = file.Read(alpha.Name);
        using var number = tensor.to(TorchSharp.torch.float64);
        var value = number.item<double>();
        return float.IsFinite((float)value)
            ? value
            : throw new ModelFileException(file.Path, $"the alpha of layer '{layer}' is {value}; it must be a finite number of float32");
    }

    [GeneratedRegex(
        @"^(?<layer>.+?)\.(?<part>lora_A\.weight|lora_B\.weight|lora_(?:down|up)\.weight|lora\.(?:down|up)\.weight|lora_linear_layer\.(?:down|up)\.weight|lora_mid\.weight|lora_magnitude_vector(?:\.weight)?|dora_scale|hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t[12])|alpha|(?<=_lora[12]?\.)(?:down|up)\.weight)$")]
    private static partial Regex TensorName();
}
