using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Scaled dot-product attention for float32 on the CPU; the logits are never whole in memory (Dao et al., FlashAttention,
/// arXiv 2205.14135).</summary>
/// <remarks>A few queries at a time pass over the keys. The logits of several queries are contiguous, so that the softmax, too, computes on
/// vectors. A query's result depends on nothing but its own row: not on the batch, nor on the number of threads.</remarks>
internal sealed unsafe class AttentionKernel : Kernel
{
    // The queries that are computed together, and as many keys, fill the cache.
    private const int WidestHead = 256;

    private readonly int batch;
    private readonly int heads;
    private readonly int queries;
    private readonly int keys;
    private readonly int inner;
    private readonly int width;
    private readonly HeadView query;
    private readonly HeadView key;
    private readonly HeadView value;
    private readonly HeadView output;
    private readonly float* bias;
    private readonly nint biasOfImage;
    private readonly Tensor result;

    private AttentionKernel(Tensor query, Tensor key, Tensor value, Tensor? mask)
    {
        (batch, heads, queries) = ((int)query.size(0), (int)query.size(1), (int)query.size(2));
        (keys, inner, width) = ((int)key.size(2), (int)query.size(3), (int)value.size(3));
        using var attended = Allocate(out var address, batch, queries, heads, width);
        result = attended.transpose(1, 2);
        output = new(result, address);
        (this.query, this.key, this.value) = (new(query, Input(query)), new(key, Input(key)), new(value, Input(value)));
        bias = Input(mask);
        biasOfImage = mask is null || mask.size(0) == 1 ? 0 : (nint)mask.stride(0);
    }

    /// <summary>Returns a value indicating whether <see cref="TryApply"/> supports the arguments.</summary>
    public static bool Supports(Tensor query, Tensor key, Tensor value, Tensor? mask = null) =>
        Simd.IsSupported && IsReadable(query) && IsReadable(key) && IsReadable(value)
        && (mask is null || (IsReadable(mask) && mask.size(1) == 1 && mask.size(2) == 1 && mask.size(3) == key.size(2)
            && (mask.size(0) == 1 || mask.size(0) == query.size(0))))
        && key.size(2) > 0 && key.size(0) == value.size(0) && key.size(1) == value.size(1) && key.size(2) == value.size(2)
        && query.size(0) == key.size(0) && query.size(1) == key.size(1) && query.size(3) == key.size(3)
        && query.size(3) <= WidestHead && value.size(3) <= WidestHead;

    /// <summary>Attends.</summary>
    /// <param name="query">(batch, heads, query tokens, width).</param>
    /// <param name="key">(batch, heads, key tokens, width).</param>
    /// <param name="value">(batch, heads, key tokens, value width).</param>
    /// <param name="mask">Added to the logits, (batch or 1, 1, 1, key tokens); null for none.</param>
    /// <returns>(batch, heads, query tokens, value width), the heads of a token contiguous in memory; null if the arguments are not
    /// supported.</returns>
    public static Tensor? TryApply(Tensor query, Tensor key, Tensor value, Tensor? mask = null)
    {
        if (!Supports(query, key, value, mask))
        {
            return null;
        }

        var kernel = new AttentionKernel(query, key, value, mask);
        kernel.Run();
        return kernel.result;
    }

    protected override void Compute<V>()
    {
        var blocks = (queries + QueryBlock<V>.Size - 1) / QueryBlock<V>.Size;
        ThreadTeam.Run(width > 0 ? checked(batch * heads * blocks) : 0, piece =>
        {
            var (image, head, block) = (piece / blocks / heads, piece / blocks % heads, piece % blocks);
            var first = block * QueryBlock<V>.Size;
            var work = new QueryBlock<V>(inner, width, Math.Min(QueryBlock<V>.Size, queries - first));
            var rows = query.At(image, head, first);
            for (var row = 0; row < work.Queries; row++)
            {
                work.SetQuery(row, rows.Start + (row * rows.Step));
            }

            work.Attend(key.At(image, head), value.At(image, head), keys, bias == null ? null : bias + (image * biasOfImage));
            rows = output.At(image, head, first);
            for (var row = 0; row < work.Queries; row++)
            {
                work.GetResult(row, rows.Start + (row * rows.Step));
            }
        });
    }

    private static bool IsReadable(Tensor tensor) =>
        TensorMemory.CanRead(tensor) && tensor.dim() == 4 && (tensor.stride(3) == 1 || tensor.size(3) == 1);
}
