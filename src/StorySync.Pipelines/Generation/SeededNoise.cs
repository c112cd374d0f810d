using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>The random numbers of a run: one generator for each picture, so that a picture depends on its own seed only.</summary>
/// <remarks>The numbers are those of PyTorch's CPU generator, whatever device the model runs on.</remarks>
internal sealed class SeededNoise(IEnumerable<long> seeds) : IDisposable
{
    private readonly Generator[] generators = [.. seeds.Select(seed => new Generator((ulong)seed, CPU))];

    /// <summary>Standard normal noise with the shape, dtype and device of <paramref name="like"/>; its first axis is that of the
    /// pictures.</summary>
    public Tensor Draw(Tensor like)
    {
        if (like.shape[0] != generators.Length)
        {
            throw new ArgumentException($"There are seeds for {generators.Length} pictures; noise was asked for {like.shape[0]}.", nameof(like));
        }

        using var scope = NewDisposeScope();
        long[] one = [1, .. like.shape[1..]];
        return cat([.. generators.Select(g => randn(one, dtype: like.dtype, generator: g))], dim: 0).to(like.device).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var generator in generators)
        {
            generator.Dispose();
        }
    }
}
