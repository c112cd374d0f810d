using StorySync.Attention;

namespace StorySync.Diffusion.Denoising;

/// <summary>Represents what one generation carries through a denoiser. Attention processors see the part that is theirs, the
/// <see cref="AttentionContext"/>.</summary>
public sealed class DenoisingContext : AttentionContext
{
    /// <summary>Gets the processor that attends in place of those that are set on the model, in this run only; null leaves them.</summary>
    public IAttentionProcessor? Processor { get; init; }

    /// <summary>Gets the cache that lets steps leave blocks out when they differ little from the one before; null (default) computes all
    /// blocks. It stays the caller's.</summary>
    public BlockCache? BlockCache { get; init; }

    /// <summary>Gets the token to monitor for cancellation requests; the models check it before each block.</summary>
    public CancellationToken CancellationToken { get; init; }
}
