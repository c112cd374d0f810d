using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Blends each token with those most like it in other images (what regional feature harmonization computes). For float32 on the CPU.</summary>
internal static class BlendKernel
{
    /// <summary>Whether <see cref="Apply"/> takes these.</summary>
    public static bool Takes(Tensor units, Tensor own) => Simd.IsSupported && TensorMemory.CanRead(units) && TensorMemory.CanRead(own);

    /// <summary>Blends.</summary>
    /// <param name="units">What the tokens are compared by, of length 1, (tokens, width), image by image; contiguous.</param>
    /// <param name="own">What is blended, (tokens, any width); contiguous.</param>
    /// <param name="counts">Tokens of each image.</param>
    /// <param name="alpha">The share of the others.</param>
    /// <param name="threshold">What is more like than this counts.</param>
    /// <param name="temperature">How evenly the images count.</param>
    /// <returns>The blended tokens, of the shape of <paramref name="own"/>.</returns>
    public static Tensor Apply(Tensor units, Tensor own, int[] counts, double alpha, double threshold, double temperature) => Simd.Use512
        ? BlendKernel<Vector512Float>.Apply(units, own, counts, (float)alpha, (float)threshold, (float)temperature)
        : BlendKernel<VectorNative>.Apply(units, own, counts, (float)alpha, (float)threshold, (float)temperature);
}

/// <summary><see cref="BlendKernel"/> with certain lanes.</summary>
internal static unsafe class BlendKernel<V>
    where V : unmanaged, IFloatVector<V>
{
    private const int RowsAtOnce = 4 * MicroKernel<V>.Rows;

    public static Tensor Apply(Tensor units, Tensor own, int[] counts, float alpha, float threshold, float temperature)
    {
        var columns = MicroKernel<V>.Columns;
        var (tokens, width, values) = ((int)units.size(0), (int)units.size(1), (int)own.size(1));
        var padded = (tokens + columns - 1) / columns * columns;
        using var transposed = zeros(width, padded);
        using (var part = transposed.narrow(1, 0, tokens))
        using (var turned = units.t())
        {
            part.copy_(turned);
        }

        var blended = empty_like(own);
        var (left, right) = ((nint)TensorMemory.Address(units), (nint)TensorMemory.Address(transposed));
        var (from, to) = ((nint)TensorMemory.Address(own), (nint)TensorMemory.Address(blended));
        ThreadTeam.Run((tokens + RowsAtOnce - 1) / RowsAtOnce, piece =>
        {
            var first = piece * RowsAtOnce;
            var count = Math.Min(RowsAtOnce, tokens - first);
            var similarities = Scratch.Floats((RowsAtOnce * padded) + counts.Length);
            var weights = similarities + (RowsAtOnce * padded);
            Compare((float*)left + ((nint)first * width), width, (float*)right, padded, similarities, count);
            Span<int> matches = stackalloc int[counts.Length];
            for (var row = 0; row < count; row++)
            {
                var target = (float*)to + ((nint)(first + row) * values);
                var source = (float*)from + ((nint)(first + row) * values);
                if (!Match(similarities + (row * padded), first + row, counts, threshold, temperature, weights, matches))
                {
                    new Span<float>(source, values).CopyTo(new Span<float>(target, values));
                    continue;
                }

                new Span<float>(target, values).Clear();
                Add(source, 1 - alpha, target, values);
                for (var image = 0; image < counts.Length; image++)
                {
                    if (weights[image] > 0)
                    {
                        Add((float*)from + ((nint)matches[image] * values), alpha * weights[image], target, values);
                    }
                }
            }
        });
        GC.KeepAlive(units);
        GC.KeepAlive(own);
        return blended;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Compare(float* rows, int width, float* others, int padded, float* similarities, int count)
    {
        for (var column = 0; column < padded; column += MicroKernel<V>.Columns)
        {
            for (var row = 0; row < count; row += MicroKernel<V>.Rows)
            {
                MicroKernel<V>.Multiply(
                    rows + ((nint)row * width), width, 1, others + column, padded, similarities + ((nint)row * padded) + column, padded,
                    Math.Min(MicroKernel<V>.Rows, count - row), width, add: false);
            }
        }
    }

    /// <summary>Finds the most similar token of each other image, the first if several are, and how much it counts.</summary>
    /// <returns>Whether there is any that is similar enough.</returns>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static bool Match(
        float* similarities, int token, int[] counts, float threshold, float temperature, float* weights, Span<int> matches)
    {
        var (start, most, total) = (0, float.NegativeInfinity, 0f);
        for (var image = 0; image < counts.Length; start += counts[image], image++)
        {
            var (best, at) = (float.NegativeInfinity, start);
            for (var other = start; other < start + counts[image]; other++)
            {
                if (similarities[other] > best)
                {
                    (best, at) = (similarities[other], other);
                }
            }

            var isOther = token < start || token >= start + counts[image];
            weights[image] = isOther && best > threshold ? best / temperature : float.NegativeInfinity;
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
    private static void Add(float* from, float weight, float* to, int count)
    {
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
