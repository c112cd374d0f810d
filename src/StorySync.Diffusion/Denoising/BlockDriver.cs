using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Denoising;

/// <summary>Runs the blocks of a denoiser in one forward pass, and does around them what is not a part of the model: cancellation, weights
/// that come and go, the block cache (diffusers does that by hooks).</summary>
/// <param name="context">The denoising context of the current generation.</param>
/// <param name="streaming">Brings the weights of the blocks to the device; null where they are there.</param>
internal sealed class BlockDriver(DenoisingContext context, BlockStreaming? streaming = null)
{
    /// <summary>Enumerates blocks, or layers of a block. While one is current its weights are there; before each the run may be
    /// canceled.</summary>
    /// <exception cref="OperationCanceledException">The run was canceled.</exception>
    public IEnumerable<TBlock> Each<TBlock>(IEnumerable<TBlock> blocks)
        where TBlock : nn.Module
    {
        foreach (var block in blocks)
        {
            context.CancellationToken.ThrowIfCancellationRequested();
            using var loaded = streaming?.Load(block);
            yield return block;
        }
    }

    /// <summary>Runs the blocks, without the middle ones if the run has a cache and that has something to take for them.</summary>
    public void Run(IBlockSequence blocks)
    {
        if (context.BlockCache is { } cache && blocks.CanSkip)
        {
            RunToLast(blocks, cache);
        }
        else
        {
            blocks.First();
            blocks.Middle();
        }

        blocks.Last();
    }

    private void RunToLast(IBlockSequence blocks, BlockCache cache)
    {
        var before = blocks.IsResidual ? blocks.Hidden.alias() : null;
        blocks.First();
        var change = before is null ? blocks.Hidden.alias() : (blocks.Hidden - before).Freeing(before);
        if (cache.Reuse(change, context).Freeing(change) is { } kept)
        {
            blocks.Skip(blocks.IsResidual ? blocks.Hidden.Plus(kept) : kept.alias());
            return;
        }

        var first = blocks.IsResidual ? blocks.Hidden.alias() : null;
        blocks.Middle();
        var rest = first is null ? blocks.Hidden.alias() : (blocks.Hidden - first).Freeing(first);
        cache.Keep(rest, context);
    }
}
