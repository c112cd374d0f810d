using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Gives the random numbers of a run: one generator for each picture, so that a picture depends on its own seed only.</summary>
/// <remarks>The numbers are those of PyTorch's CPU generator, on whatever device the model runs.</remarks>
internal sealed class SeededNoise : INoiseSource, IDisposable
{
    private readonly Generator[] generators;

    public SeededNoise(IEnumerable<long> seeds) => generators = [.. seeds.Select(seed => new Generator((ulong)seed, CPU))];

    /// <inheritdoc/>
    public Tensor Next(params long[] shape)
    {
        if (shape[0] != generators.Length)
        {
            throw new ArgumentException($"There are seeds for {generators.Length} pictures, noise was asked for {shape[0]}.", nameof(shape));
        }

        using var scope = NewDisposeScope();
        long[] one = [1, .. shape[1..]];
        return cat([.. generators.Select(g => randn(one, dtype: float32, generator: g))], dim: 0).MoveToOuterDisposeScope();
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

/// <summary>Gives standard normal noise.</summary>
internal interface INoiseSource
{
    /// <summary>The next noise.</summary>
    /// <param name="shape">Its shape; the first axis is that of the pictures.</param>
    /// <returns>float32 on the CPU, in the caller's dispose scope.</returns>
    Tensor Next(params long[] shape);
}
