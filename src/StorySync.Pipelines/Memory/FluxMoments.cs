using StorySync.Diffusion.Flux;

namespace StorySync.Pipelines;

/// <summary>The largest moment of a pass through FLUX's transformer.</summary>
internal static class FluxMoments
{
    // Of a single block, where the attention's and the feed-forward part's outputs are joined: text and image, both in one, their norm, the
    // parts' 1 + 4, both joined.
    private const double InSingleBlock = 13;

    // Of a block that shares attention: the same up to the norm, queries, keys and values, copies of them by branch and by picture, what
    // was attended.
    private const double InSharing = 15;
    private const double InSharingWithBase = 16;

    /// <param name="config">The sizes.</param>
    /// <param name="batch">The batch.</param>
    /// <param name="tokens">Text and image tokens of a row.</param>
    public static Moment Largest(FluxTransformer2DConfig config, DenoiserBatch batch, long tokens)
    {
        var widths = !batch.Shares ? InSingleBlock : batch.HasBase ? InSharingWithBase : InSharing;
        return new("single_transformer_blocks", widths * batch.Rows * tokens * config.NumAttentionHeads * config.AttentionHeadDim);
    }

    /// <summary>What the first block added and what came out of it, later what the others added.</summary>
    /// <param name="config">The sizes.</param>
    /// <param name="imageTokens">Image tokens of a row.</param>
    public static long BlockCacheValues(FluxTransformer2DConfig config, long imageTokens) =>
        2 * imageTokens * config.NumAttentionHeads * config.AttentionHeadDim;
}
