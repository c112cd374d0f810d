using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Implements scaled dot-product attention, the default of every layer (diffusers' <c>AttnProcessor2_0</c>).</summary>
public sealed class PlainAttention : IAttentionProcessor
{
    private PlainAttention()
    {
    }

    /// <summary>Gets the only instance; it holds no state.</summary>
    public static PlainAttention Instance { get; } = new();

    /// <inheritdoc/>
    public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        return ScaledDotProduct.Attend(inputs.Query, inputs.Key, inputs.Value, inputs.Mask);
    }
}
