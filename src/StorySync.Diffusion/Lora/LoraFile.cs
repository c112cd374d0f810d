using System.Text.RegularExpressions;
using StorySync.Diffusion.Weights;

namespace StorySync.Diffusion.Lora;

/// <summary>A LoRA file (Hu et al., arXiv 2106.09685): for some layers two small matrices whose product is added to the weight,
/// <c>W' = W + scale · alpha / rank · up · down</c>. Reads the layouts of diffusers / PEFT, kohya's scripts, ComfyUI, OneTrainer, XLabs and
/// the authors of the models.</summary>
internal sealed partial class LoraFile : IDisposable
{
    private readonly SafetensorsFile file;

    private LoraFile(SafetensorsFile file)
    {
        this.file = file;
        Layers = ReadLayers(file);
    }

    /// <summary>Gets what the file holds, by the name that it has for a layer, component included: <c>unet.down_blocks.1.….to_q</c>,
    /// <c>lora_unet_down_blocks_1_…_to_q</c>. Layers of rank 0, which add nothing, are left out.</summary>
    public IReadOnlyDictionary<string, LoraLayer> Layers { get; }

    /// <summary>Gets the file's tensors.</summary>
    public ITensorSource Source => file;

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
        if (file.Tensors.Count == 0)
        {
            throw new ModelFileException(file.Path, "it holds no tensors, so it is no LoRA; expected at least one layer's matrices");
        }

        var parts = new Dictionary<string, Parts>();
        foreach (var name in file.Tensors.Keys)
        {
            var match = TensorName().Match(name);
            if (!match.Success)
            {
                throw new ModelFileException(file.Path, LoraLayout.Unsupported(name) is { } kind
                    ? $"'{name}' belongs to {kind}, which is not supported; expected a LoRA, in the layout of diffusers / PEFT, "
                        + "kohya's scripts, ComfyUI, OneTrainer or XLabs"
                    : $"'{name}' is no tensor of a LoRA in a known layout; "
                        + "expected names that end in .lora_A.weight and .lora_B.weight, or .lora_down.weight, .lora_up.weight and .alpha");
            }

            var layer = LoraNames.Current(match.Groups["layer"].Value);
            var known = parts.GetValueOrDefault(layer) ?? new Parts();
            parts[layer] = match.Groups["part"].Value switch
            {
                "alpha" => known with { Alpha = Once(known.Alpha) },
                var part when part.StartsWith("lora_A", StringComparison.Ordinal)
                    || part.EndsWith("down.weight", StringComparison.Ordinal) =>
                    known with { Down = Once(known.Down) },
                _ => known with { Up = Once(known.Up) },
            };

            TensorInfo Once(TensorInfo? other) => other is null
                ? file.Tensors[name]
                : throw new ModelFileException(file.Path, $"layer '{layer}' is there twice: '{other.Name}' and '{name}'");
        }

        var metadata = LoraMetadata.Read(file);
        var layers = parts.Select(part => Layer(file, part.Key, part.Value, metadata)).ToList();
        return layers.Any(layer => layer.Rank > 0)
            ? layers.Where(layer => layer.Rank > 0).ToDictionary(layer => layer.Name)
            : throw new ModelFileException(file.Path, $"every one of its {layers.Count} layers has rank 0, so it changes nothing");
    }

    private static LoraLayer Layer(SafetensorsFile file, string name, Parts parts, LoraMetadata metadata)
    {
        if (parts is not { Down: { } down, Up: { } up })
        {
            throw new ModelFileException(file.Path, $"layer '{name}' lacks {(parts.Down, parts.Up) switch
            {
                (null, null) => "both of its matrices and has an alpha alone",
                (null, _) => "the matrix down (lora_A)",
                _ => "the matrix up (lora_B)",
            }}; the file is not whole");
        }

        if (down.Shape.Count is not (2 or 4) || up.Shape.Count is not (2 or 4) || up.Shape[1] != down.Shape[0])
        {
            throw new ModelFileException(file.Path, $"layer '{name}' has matrices of the shapes {ShapeText.Of(up.Shape)} (up) and "
                + $"{ShapeText.Of(down.Shape)} (down); expected (out, rank) and (rank, in), or those of convolutions");
        }

        foreach (var matrix in (TensorInfo[])[down, up])
        {
            if (!matrix.Dtype.IsReadableFloat())
            {
                throw new ModelFileException(file.Path, $"'{matrix.Name}' is stored as {matrix.Dtype}; expected BF16, F16, F32 or F64");
            }
        }

        var rank = down.Shape[0];
        return new LoraLayer(file, name, up.Name, down.Name, rank, rank == 0 ? 0 : Scale());

        double Scale()
        {
            if (parts.Alpha is not { } alpha)
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
        return double.IsFinite(value)
            ? value
            : throw new ModelFileException(file.Path, $"the alpha of layer '{layer}' is {value}; it must be a finite number");
    }

    [GeneratedRegex(
        @"^(?<layer>.+?)\.(?<part>lora_A\.weight|lora_B\.weight|lora_(?:down|up)\.weight|lora\.(?:down|up)\.weight|lora_linear_layer\.(?:down|up)\.weight|alpha|(?<=_lora[12]?\.)(?:down|up)\.weight)$")]
    private static partial Regex TensorName();

    /// <summary>The tensors of a layer, as far as they have been met.</summary>
    private sealed record Parts
    {
        public TensorInfo? Down { get; init; }

        public TensorInfo? Up { get; init; }

        public TensorInfo? Alpha { get; init; }
    }
}
