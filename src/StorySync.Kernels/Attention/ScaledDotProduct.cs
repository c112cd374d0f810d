using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Computes scaled dot-product attention with the fastest available implementation.</summary>
internal static class ScaledDotProduct
{
    /// <summary>Computes softmax(Q Kᵀ / √width + mask) V.</summary>
    /// <param name="query">(batch, heads, query tokens, width).</param>
    /// <param name="key">(batch, heads, key tokens, width).</param>
    /// <param name="value">(batch, heads, key tokens, value width).</param>
    /// <param name="mask">Added to the logits; broadcasts to (batch, heads, query tokens, key tokens). Null for none.</param>
    /// <returns>(batch, heads, query tokens, value width).</returns>
    public static Tensor Attend(Tensor query, Tensor key, Tensor value, Tensor? mask = null) =>
        AttentionKernel.TryApply(query, key, value, mask)
        ?? (query.device_type == DeviceType.META
            ? Shaped(query, key, value, mask)
            : nn.functional.scaled_dot_product_attention(query, key, value, mask));

    /// <summary>Attends on the meta device, where tensors have shapes alone, which tells what a run asks of its device: libtorch's operator
    /// has no form for it.</summary>
    private static Tensor Shaped(Tensor query, Tensor key, Tensor value, Tensor? mask)
    {
        using var scope = NewDisposeScope();
        var logits = query.flatten(0, 1).bmm(key.flatten(0, 1).transpose(1, 2)).unflatten(0, [query.shape[0], query.shape[1]]);
        var weights = (mask is null ? logits : logits.Plus(mask)).softmax(-1).flatten(0, 1);
        return weights.bmm(value.flatten(0, 1)).unflatten(0, [query.shape[0], query.shape[1]]).MoveToOuterDisposeScope();
    }
}
