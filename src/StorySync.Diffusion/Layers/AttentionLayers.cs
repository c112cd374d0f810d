using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using TorchSharp;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>What attention layers have in common.</summary>
internal static class AttentionLayers
{
    /// <summary>(batch, tokens, heads · head width) as (batch, heads, tokens, head width).</summary>
    public static Tensor SplitHeads(this Tensor tokens, long heads) => tokens.unflatten(2, [heads, -1]).transpose(1, 2);

    /// <summary>(batch, heads, tokens, head width) as (batch, tokens, heads · head width).</summary>
    public static Tensor MergeHeads(this Tensor heads) => heads.transpose(1, 2).flatten(2);

    /// <summary>Lets the run's processor attend, or the layer's own where the run brings none.</summary>
    /// <returns>(batch, query tokens, heads · head width).</returns>
    public static Tensor Attend(this IAttentionLayer layer, AttentionInputs inputs, DenoisingContext context) =>
        Scoped(() => (context.Processor ?? layer.Processor).Attend(layer.Layer, inputs, context).MergeHeads());
}
