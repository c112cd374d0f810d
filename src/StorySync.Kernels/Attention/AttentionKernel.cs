using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Scaled dot-product attention for float32 on the CPU; the logits are never whole in memory (Dao et al., FlashAttention,
/// arXiv 2205.14135).</summary>
/// <remarks>A few queries at a time pass over the keys. Their logits lie with the queries side by side, so that the softmax, too, computes
/// on many at once. A query's result depends on nothing but its own row: not on the batch, nor on the number of threads.</remarks>
internal static class AttentionKernel
{
    // The queries that are computed at once, and as much of the keys, fill the cache.
    private const int WidestHead = 256;

    /// <summary>Whether <see cref="Apply"/> takes these.</summary>
    public static bool Takes(Tensor query, Tensor key, Tensor value, Tensor? mask = null) =>
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
    /// <returns>(batch, heads, query tokens, value width); in memory a token's heads are side by side.</returns>
    public static Tensor Apply(Tensor query, Tensor key, Tensor value, Tensor? mask = null) => Simd.Use512
        ? AttentionKernel<Vector512Float>.Apply(query, key, value, mask)
        : AttentionKernel<VectorNative>.Apply(query, key, value, mask);

    /// <summary>Attends where some of an image's queries read tokens of other images beside all of their own image's.</summary>
    /// <param name="query">(rows, heads, tokens, width). The rows are the images in order, once or several times over.</param>
    /// <param name="key">The same shape.</param>
    /// <param name="value">(rows, heads, tokens, value width).</param>
    /// <param name="images">How many images there are.</param>
    /// <param name="groups">The queries, each in one group.</param>
    /// <param name="foreignBias">Added to the logits of the other images' tokens.</param>
    /// <returns>(rows, heads, tokens, value width); in memory a token's heads are side by side.</returns>
    public static Tensor ApplyShared(Tensor query, Tensor key, Tensor value, int images, IReadOnlyList<TokenGroup> groups, float foreignBias) =>
        Simd.Use512
        ? AttentionKernel<Vector512Float>.ApplyShared(query, key, value, images, groups, foreignBias)
        : AttentionKernel<VectorNative>.ApplyShared(query, key, value, images, groups, foreignBias);

    private static bool IsReadable(Tensor tensor) =>
        TensorMemory.CanRead(tensor) && tensor.dim() == 4 && (tensor.stride(3) == 1 || tensor.size(3) == 1);
}
