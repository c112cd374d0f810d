using StorySync.Diffusion.Weights;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>An autoencoder's checkpoint under the names of today. Files from the time of Stable Diffusion 1.5 call the projections of
/// an attention <c>query</c>, <c>key</c>, <c>value</c> and <c>proj_attn</c>, and some hold them as 1 × 1 convolutions.</summary>
internal sealed class CurrentAttentionNames : IMappedTensorSource
{
    private static readonly Dictionary<string, string> Renamed = new(StringComparer.Ordinal)
    {
        ["query"] = "to_q",
        ["key"] = "to_k",
        ["value"] = "to_v",
        ["proj_attn"] = "to_out.0",
    };

    private readonly ITensorSource source;
    private readonly Dictionary<string, string> storedNames = new(StringComparer.Ordinal);
    private readonly Dictionary<string, TensorInfo> tensors = new(StringComparer.Ordinal);

    /// <param name="source">The file as it is; disposed with this.</param>
    public CurrentAttentionNames(ITensorSource source)
    {
        this.source = source;
        foreach (var (stored, info) in source.Tensors)
        {
            var name = Rename(stored);
            storedNames.Add(name, stored);
            tensors.Add(name, info with { Shape = IsConvolution(name, info.Shape) ? [info.Shape[0], info.Shape[1]] : info.Shape });
        }
    }

    public string Path => source.Path;

    public IReadOnlyDictionary<string, TensorInfo> Tensors => tensors;

    public Tensor Read(string name)
    {
        using var scope = NewDisposeScope();
        var stored = source.Read(storedNames[name]);
        return stored.reshape([.. tensors[name].Shape]).MoveToOuterDisposeScope();
    }

    public bool IsView(string name) => source is IMappedTensorSource mapped && mapped.IsView(storedNames[name]);

    public IEnumerable<MappedFile> FilesInUse => (source as IMappedTensorSource)?.FilesInUse ?? [];

    public void Hold(string name) => (source as IMappedTensorSource)?.Hold(storedNames[name]);

    public void Dispose() => source.Dispose();

    private static string Rename(string stored)
    {
        var parts = stored.Split('.');
        if (parts is [.., "attentions", _, var projection, _] && Renamed.TryGetValue(projection, out var today))
        {
            parts[^2] = today;
        }

        return string.Join('.', parts);
    }

    private static bool IsConvolution(string name, IReadOnlyList<long> shape) =>
        name.Contains(".attentions.", StringComparison.Ordinal) && name.Contains(".to_", StringComparison.Ordinal) && shape is [_, _, 1, 1];
}
