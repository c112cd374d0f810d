using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>The random numbers of a run: one generator for each image, so that an image depends on its own seed only.</summary>
/// <remarks>The numbers are those of PyTorch's CPU generator, whatever the device and type of the model. They are drawn in float32 and
/// then converted: libtorch's own draws in half precision have no tails, and other values than PyTorch 2.13's.</remarks>
internal sealed class SeededNoise(IEnumerable<long> seeds) : IDisposable
{
    private readonly Generator[] generators = [.. seeds.Select(seed => new Generator((ulong)seed, CPU))];

    /// <summary>Gets a value indicating whether any were drawn.</summary>
    public bool IsDrawn { get; private set; }

    /// <summary>Draws standard normal noise with the shape, dtype and device of <paramref name="like"/>, whose first axis is that of the
    /// images.</summary>
    public Tensor Draw(Tensor like)
    {
        if (like.shape[0] != generators.Length)
        {
            throw new ArgumentException($"There are seeds for {generators.Length} images; noise was asked for {like.shape[0]}.",
                nameof(like));
        }

        IsDrawn = true;
        using var scope = NewDisposeScope();
        long[] one = [1, .. like.shape[1..]];
        var drawn = cat([.. generators.Select(g => randn(one, dtype: float32, generator: g))], dim: 0);
        return DeviceTransfer.Send(drawn.to(like.dtype), like.device).MoveToOuterDisposeScope();
    }

    /// <summary>Returns the same random numbers from here on, in generators of their own.</summary>
    public SeededNoise Fork()
    {
        var fork = new SeededNoise(Enumerable.Repeat(0L, generators.Length));
        foreach (var (own, copy) in generators.Zip(fork.generators))
        {
            using var state = own.get_state();
            copy.set_state(state);
        }

        return fork;
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
