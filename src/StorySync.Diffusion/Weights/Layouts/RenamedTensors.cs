using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>The tensors of a checkpoint under other names, whole or in parts. Nothing is read before it is asked for, and what is a view of
/// a mapped file stays one.</summary>
internal class RenamedTensors : IMappedTensorSource, IBlockSource
{
    private readonly ITensorSource source;
    private readonly Dictionary<string, (string Stored, TensorForm Form)> origins = new(StringComparer.Ordinal);
    private readonly Dictionary<string, TensorInfo> tensors = new(StringComparer.Ordinal);

    /// <param name="source">The checkpoint, which is disposed with this.</param>
    /// <param name="parts">Gives the names that a stored tensor, or parts of it, have here.</param>
    /// <exception cref="ModelFileException">Two stored tensors have the same name here.</exception>
    public RenamedTensors(ITensorSource source, Func<string, IEnumerable<(string Name, TensorForm Form)>> parts)
    {
        this.source = source;
        foreach (var info in source.Tensors.Values.OrderBy(info => info.Name, StringComparer.Ordinal))
        {
            foreach (var (name, form) in parts(info.Name))
            {
                if (!origins.TryAdd(name, (info.Name, form)))
                {
                    throw new ModelFileException(source.Path,
                        $"'{origins[name].Stored}' and '{info.Name}' are both '{name}' of the model; expected one of the two");
                }

                tensors.Add(name, new TensorInfo(name, info.Dtype, form.Of(info.Shape)));
            }
        }
    }

    /// <summary>The tensors of a part of a checkpoint.</summary>
    /// <param name="source">The checkpoint, which is disposed with the result.</param>
    /// <param name="prefix">What the part's names begin with; the others are left out.</param>
    /// <param name="table">What they are called; a name that it does not know stays. Null where all stay.</param>
    public RenamedTensors(ITensorSource source, string prefix, NameTable? table)
        : this(source, name => !name.StartsWith(prefix, StringComparison.Ordinal) ? []
            : table?.Translate(name[prefix.Length..]).ToList() is { Count: > 0 } known ? known
            : [(name[prefix.Length..], TensorForm.Whole)])
    {
    }

    /// <inheritdoc/>
    public string Path => source.Path;

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, TensorInfo> Tensors => tensors;

    /// <inheritdoc/>
    public Tensor Read(string name) => origins.TryGetValue(name, out var origin)
        ? origin.Form.Of(source.Read(origin.Stored))
        : throw new KeyNotFoundException($"{Path}: there is no tensor '{name}' among its {origins.Count}.");

    StoredBlocks? IBlockSource.ReadBlocks(string name) => origins.TryGetValue(name, out var origin)
        && (source as IBlockSource)?.ReadBlocks(origin.Stored) is { } blocks ? origin.Form.Of(blocks) : null;

    bool IMappedTensorSource.IsView(string name) => origins.TryGetValue(name, out var origin) && origin.Form.IsView
        && source is IMappedTensorSource mapped && mapped.IsView(origin.Stored);

    void IMappedTensorSource.Hold(string name) => (source as IMappedTensorSource)?.Hold(origins[name].Stored);

    IEnumerable<MappedFile> IMappedTensorSource.FilesInUse => (source as IMappedTensorSource)?.FilesInUse ?? [];

    /// <inheritdoc/>
    public void Dispose()
    {
        source.Dispose();
        GC.SuppressFinalize(this);
    }
}
