using StorySync.Kernels;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>A checkpoint in which some weights are stored as 8-bit floats with a scale each, by ComfyUI's convention: the weight of a layer
/// is <c>weight · scale_weight</c>. What is not for weights (<c>scale_input</c>, the mark <c>scaled_fp8</c>) is left out.</summary>
internal sealed class ScaledWeights : IMappedTensorSource, IBlockSource
{
    private const string Mark = "scaled_fp8";

    private static readonly string[] Scales = [".scale_weight", ".weight_scale"];
    private static readonly string[] OfInputs = [".scale_input", ".input_scale"];

    private readonly ITensorSource source;
    private readonly Dictionary<string, float> scales = new(StringComparer.Ordinal);
    private readonly Dictionary<string, TensorInfo> tensors;

    private ScaledWeights(ITensorSource source)
    {
        this.source = source;
        foreach (var (name, end) in source.Tensors.Keys.SelectMany(_ => Scales, (name, end) => (name, end)).Where(EndsWith))
        {
            var weight = name[..^end.Length] + ".weight";
            if (!source.Tensors.ContainsKey(weight) || !scales.TryAdd(weight, ReadScale(name)))
            {
                throw new ModelFileException(source.Path, $"'{name}' is a scale, but there is no '{weight}' that has it alone");
            }
        }

        tensors = source.Tensors.Where(entry => !IsExtra(entry.Key)).ToDictionary(StringComparer.Ordinal);
    }

    public string Path => source.Path;

    public IReadOnlyDictionary<string, TensorInfo> Tensors => tensors;

    /// <summary>Returns the checkpoint, with its weights scaled where it has scales.</summary>
    /// <param name="source">The checkpoint; disposed with the result, or if it fails.</param>
    /// <exception cref="ModelFileException">A scale has no weight, or is not one finite number.</exception>
    public static ITensorSource Of(ITensorSource source)
    {
        try
        {
            return source.Tensors.Keys.Any(IsExtra) ? new ScaledWeights(source) : source;
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    public Tensor Read(string name)
    {
        if (!scales.TryGetValue(name, out var scale))
        {
            return source.Read(name);
        }

        return Scoped(() => source.Read(name).to(float32).Times(scale));
    }

    public StoredBlocks? ReadBlocks(string name) => (source as IBlockSource)?.ReadBlocks(name) is not { } blocks ? null
        : scales.TryGetValue(name, out var scale) ? blocks.Times(scale)
        : blocks;

    public bool IsView(string name) => !scales.ContainsKey(name) && source is IMappedTensorSource mapped && mapped.IsView(name);

    public void Hold(string name) => (source as IMappedTensorSource)?.Hold(name);

    public IEnumerable<MappedFile> FilesInUse => (source as IMappedTensorSource)?.FilesInUse ?? [];

    public void Dispose() => source.Dispose();

    private static bool EndsWith((string Name, string End) entry) => entry.Name.EndsWith(entry.End, StringComparison.Ordinal);

    private static bool IsExtra(string name) => name == Mark || name.EndsWith("." + Mark, StringComparison.Ordinal)
        || Scales.Concat(OfInputs).Any(end => name.EndsWith(end, StringComparison.Ordinal));

    private float ReadScale(string name)
    {
        if (source.Tensors[name] is not { Dtype: var dtype, Shape: var shape } || !dtype.IsReadableFloat() || shape.Any(size => size != 1))
        {
            throw new ModelFileException(source.Path, $"the scale {source.Tensors[name]} must be one number in floating point");
        }

        using var scope = NewDisposeScope();
        var scale = source.Read(name).to(float32).item<float>();
        return float.IsFinite(scale) ? scale
            : throw new ModelFileException(source.Path, $"the scale '{name}' is {scale}; it must be a finite number");
    }
}
