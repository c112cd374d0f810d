using System.Globalization;
using StorySync.Attention;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Denoising;

/// <summary>Caches the output of the deeper blocks of a denoiser, and reuses it in steps in which the output of the first block hardly
/// changes. The result is approximate.</summary>
/// <remarks>
/// Make one per run, set it as <see cref="DenoisingContext.BlockCache"/>, and dispose it when the run is over. FLUX keeps the sum of what
/// all blocks after the first add (diffusers' <c>FirstBlockCache</c>); UNets keep what comes up to the last block on the way up (DeepCache,
/// Ma et al., arXiv 2312.00858), and decide by the first block on the way down. A batch is decided on as a whole: what its rows change on
/// average; guidance halves that are computed one after the other are both decided on by the positive one. When the rows become others,
/// what was kept is dropped.
/// <para>The blocks that are left out call no attention processor.</para>
/// <para>Not thread-safe; a run is one sequence of steps.</para>
/// </remarks>
public sealed class BlockCache : IDisposable
{
    private readonly double threshold;
    private readonly Dictionary<(GuidanceBranch? Branch, long Rows), Part> kept = [];
    private bool reuses;

    /// <summary>Initializes a new instance of the <see cref="BlockCache"/> class that is empty.</summary>
    /// <param name="threshold">How much the first block's part may change since the step that was computed last, so that a step takes the
    /// rest from it: mean absolute change by mean absolute value, above 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">The threshold is not a number above 0.</exception>
    public BlockCache(double threshold)
    {
        if (!(threshold > 0 && double.IsFinite(threshold)))
        {
            throw new ArgumentOutOfRangeException(
                nameof(threshold),
                    string.Create(CultureInfo.InvariantCulture, $"The threshold is {threshold}; it must be a number above 0."));
        }

        this.threshold = threshold;
    }

    /// <summary>For a model, when it has passed its first block: what to take for the rest.</summary>
    /// <param name="first">The first block's part, (rows, …).</param>
    /// <param name="context">The denoising context of the current generation.</param>
    /// <returns>What was kept, which stays the cache's; null if the rest is to be computed and handed to <see cref="Keep"/>.</returns>
    internal Tensor? Reuse(Tensor first, DenoisingContext context)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(context);
        var key = Key(first, context);
        if (kept.Keys.Any(other => other.Rows != key.Rows || (other.Branch is null) != (key.Branch is null)))
        {
            Dispose();
        }

        // Guidance enlarges what tells the halves apart, which must not be that one is of an earlier step: the negative one follows.
        kept.TryGetValue(key, out var part);
        reuses = context.Branch == GuidanceBranch.Unconditional ? reuses
            : part is { Rest: not null } && Change(first, part.First) <= threshold;
        if (reuses && part?.Rest is { } rest)
        {
            return rest;
        }

        // What was kept is freed before the rest is computed, which is when a pass takes most memory.
        part?.Dispose();
        kept[key] = new Part(first.alias().DetachFromDisposeScope());
        return null;
    }

    /// <summary>For a model, when it has computed what <see cref="Reuse"/> did not have.</summary>
    /// <param name="rest">The rest's part, (rows, …); it stays the caller's.</param>
    /// <param name="context">The denoising context of the current generation.</param>
    internal void Keep(Tensor rest, DenoisingContext context)
    {
        ArgumentNullException.ThrowIfNull(rest);
        ArgumentNullException.ThrowIfNull(context);
        kept[Key(rest, context)].Rest = rest.alias().DetachFromDisposeScope();
    }

    /// <summary>Drops what was kept.</summary>
    public void Dispose()
    {
        foreach (var part in kept.Values)
        {
            part.Dispose();
        }

        kept.Clear();
    }

    private static (GuidanceBranch? Branch, long Rows) Key(Tensor rows, DenoisingContext context) => (context.Branch, rows.shape[0]);

    private static double Change(Tensor now, Tensor before)
    {
        using var scope = NewDisposeScope();
        return (Size(now - before) / Size(before)).item<float>();

        static Tensor Size(Tensor values) => values.abs().mean([], type: ScalarType.Float32);
    }

    private sealed class Part(Tensor first) : IDisposable
    {
        public Tensor First => first;

        public Tensor? Rest { get; set; }

        public void Dispose()
        {
            First.Dispose();
            Rest?.Dispose();
        }
    }
}
