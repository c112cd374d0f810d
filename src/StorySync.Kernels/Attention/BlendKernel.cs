using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Blends each token with the tokens most similar to it in other images, as regional feature harmonization does. For float32 on
/// the CPU.</summary>
internal sealed unsafe class BlendKernel : Kernel
{
    private const int RowBlock = 4 * MicroKernel<VectorNative>.Rows;

    private readonly int tokens;
    private readonly int width;
    private readonly int values;
    private readonly int padded;
    private readonly int[] counts;
    private readonly bool[] reads;
    private readonly int[] images;
    private readonly float alpha;
    private readonly float threshold;
    private readonly float temperature;
    private readonly float* rows;
    private readonly float* others;
    private readonly float* from;
    private readonly float* to;
    private readonly Tensor transposed;
    private readonly Tensor blended;

    private BlendKernel(Tensor units, Tensor own, int[] counts, bool[] reads, double alpha, double threshold, double temperature)
    {
        if (!Supports(units, own) || units.size(0) != own.size(0) || !Array.TrueForAll(counts, count => count >= 0)
            || counts.Sum(count => (long)count) != units.size(0) || reads.LongLength != counts.LongLength * counts.LongLength
            || !(temperature > 0))
        {
            throw ShapeMismatch.Of(
                $"A blend of ({string.Join(", ", counts)}) tokens at a temperature of {temperature}", ("units", units), ("own", own));
        }

        (tokens, width, values) = (checked((int)units.size(0)), checked((int)units.size(1)), checked((int)own.size(1)));
        (this.counts, this.reads) = (counts, reads);
        (this.alpha, this.threshold, this.temperature) = ((float)alpha, (float)threshold, (float)temperature);
        images = [.. counts.SelectMany((count, image) => Enumerable.Repeat(image, count))];
        var columns = Simd.PanelColumns;
        padded = checked((tokens + columns - 1) / columns * columns);
        transposed = zeros(width, padded);
        using (var part = transposed.narrow(1, 0, tokens))
        using (var turned = units.t())
        {
            part.copy_(turned);
        }

        rows = Input(units);
        others = Input(transposed);
        from = Input(own);
        blended = Allocate(out to, tokens, values);
    }

    /// <summary>Returns a value indicating whether <see cref="Apply"/> supports the arguments.</summary>
    public static bool Supports(Tensor units, Tensor own) => Simd.IsSupported && IsReadable(units) && IsReadable(own);

    /// <summary>Blends.</summary>
    /// <param name="units">What the tokens are compared by, of length 1, (tokens, width), image by image; contiguous.</param>
    /// <param name="own">What is blended, (tokens, any width); contiguous.</param>
    /// <param name="counts">The number of tokens of each image.</param>
    /// <param name="reads">Whether each image reads each image, (images · images).</param>
    /// <param name="alpha">The share of the others.</param>
    /// <param name="threshold">The similarity above which a token counts.</param>
    /// <param name="temperature">How evenly the images count, above 0.</param>
    /// <returns>The blended tokens, of the shape of <paramref name="own"/>.</returns>
    /// <exception cref="ArgumentException">The sizes do not fit together.</exception>
    public static Tensor Apply(
        Tensor units, Tensor own, int[] counts, bool[] reads, double alpha, double threshold, double temperature)
    {
        var kernel = new BlendKernel(units, own, counts, reads, alpha, threshold, temperature);
        using (kernel.transposed)
        {
            kernel.Run();
            return kernel.blended;
        }
    }

    protected override void Compute<V>() => ThreadTeam.Run((tokens + RowBlock - 1) / RowBlock, piece =>
    {
        var first = piece * RowBlock;
        var count = Math.Min(RowBlock, tokens - first);
        var similarities = Scratch.Floats(checked(RowBlock * padded));
        var (start, end) = Read(first, count);
        Compare<V>(rows + ((nint)first * width), width, others, padded, similarities, count, start, end);
        var (weights, matches) = (new float[counts.Length], new int[counts.Length]);
        for (var row = 0; row < count; row++)
        {
            var target = to + ((nint)(first + row) * values);
            var source = from + ((nint)(first + row) * values);
            V.CheckRead(source, values);
            V.CheckWrite(target, values);
            var read = reads.AsSpan(images[first + row] * counts.Length, counts.Length);
            if (!Match(similarities + (row * padded), read, counts, threshold, temperature, weights, matches))
            {
                new Span<float>(source, values).CopyTo(new Span<float>(target, values));
                continue;
            }

            new Span<float>(target, values).Clear();
            Add<V>(source, 1 - alpha, target, values);
            for (var image = 0; image < counts.Length; image++)
            {
                if (weights[image] > 0)
                {
                    Add<V>(from + ((nint)matches[image] * values), alpha * weights[image], target, values);
                }
            }
        }
    });

    private static bool IsReadable(Tensor tensor) => TensorMemory.CanRead(tensor) && tensor.dim() == 2 && tensor.is_contiguous();

    /// <summary>Finds the tokens between which all lie that some tokens' images read.</summary>
    private (int Start, int End) Read(int first, int count)
    {
        var (start, end) = (tokens, 0);
        for (var image = images[first]; image <= images[first + count - 1]; image++)
        {
            for (var (other, at) = (0, 0); other < counts.Length; at += counts[other], other++)
            {
                if (reads[(image * counts.Length) + other])
                {
                    (start, end) = (Math.Min(start, at), Math.Max(end, at + counts[other]));
                }
            }
        }

        return (start, end);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Compare<V>(
        float* rows, int width, float* others, int padded, float* similarities, int count, int start, int end)
        where V : unmanaged, IFloatVector<V>
    {
        for (var column = start / MicroKernel<V>.Columns * MicroKernel<V>.Columns; column < end; column += MicroKernel<V>.Columns)
        {
            for (var row = 0; row < count; row += MicroKernel<V>.Rows)
            {
                MicroKernel<V>.Multiply(
                    rows + ((nint)row * width), width, 1, others + column, padded, similarities + ((nint)row * padded) + column, padded,
                    Math.Min(MicroKernel<V>.Rows, count - row), width, add: false);
            }
        }
    }

    /// <summary>Finds the most similar token of each image that is read, the first if several are, and how much it counts.</summary>
    /// <returns>Whether there is any that is similar enough.</returns>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static bool Match(
        float* similarities, ReadOnlySpan<bool> read, int[] counts, float threshold, float temperature, Span<float> weights,
        Span<int> matches)
    {
        var (start, most, total) = (0, float.NegativeInfinity, 0f);
        for (var image = 0; image < counts.Length; start += counts[image], image++)
        {
            var (best, at) = (float.NegativeInfinity, start);
            for (var other = start; read[image] && other < start + counts[image]; other++)
            {
                if (similarities[other] > best)
                {
                    (best, at) = (similarities[other], other);
                }
            }

            weights[image] = best > threshold ? best / temperature : float.NegativeInfinity;
            matches[image] = at;
            most = Math.Max(most, weights[image]);
        }

        if (float.IsNegativeInfinity(most))
        {
            return false;
        }

        for (var image = 0; image < counts.Length; image++)
        {
            weights[image] = MathF.Exp(weights[image] - most);
            total += weights[image];
        }

        for (var image = 0; image < counts.Length; image++)
        {
            weights[image] /= total;
        }

        return true;
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void Add<V>(float* from, float weight, float* to, int count)
        where V : unmanaged, IFloatVector<V>
    {
        V.CheckRead(from, count);
        V.CheckWrite(to, count);
        var (at, factor) = (0, V.Create(weight));
        for (; at <= count - V.Count; at += V.Count)
        {
            V.FusedMultiplyAdd(V.Load(from + at), factor, V.Load(to + at)).Store(to + at);
        }

        for (; at < count; at++)
        {
            to[at] += from[at] * weight;
        }
    }
}
