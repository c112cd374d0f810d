using System.Runtime.CompilerServices;

namespace StorySync.Kernels;

/// <summary>A few queries that pass over the keys, in a thread's scratch memory (Dao et al., FlashAttention, arXiv 2205.14135).</summary>
internal unsafe ref struct QueryBlock<V>
    where V : unmanaged, IFloatVector<V>
{
    /// <summary>Gets the number of queries that are computed together.</summary>
    public static int Size => 3 * MicroKernel<V>.Columns;

    private const int KeyBlock = 128;

    // Rows as far apart as this crowd each other out of the cache.
    private const int PageOfFloats = 4096 / sizeof(float);

    private readonly int inner;
    private readonly int width;
    private readonly int padded;
    private readonly float* packed;
    private readonly float* scores;
    private readonly float* sums;
    private readonly float* maxima;
    private readonly float* totals;
    private readonly float* shrink;
    private readonly float* biases;
    private readonly float* keyCopy;
    private readonly float* valueCopy;
    private bool hasAttended;

    public QueryBlock(int inner, int width, int queries)
    {
        var (columns, block) = (MicroKernel<V>.Columns, Size);
        (this.inner, this.width, Queries) = (inner, width, queries);
        padded = (width + columns - 1) / columns * columns;
        packed = Scratch.Floats(
            (inner * block) + (KeyBlock * block) + (block * padded) + (2 * block) + V.Count + (KeyBlock * (1 + inner + padded)));
        scores = packed + (inner * block);
        sums = scores + (KeyBlock * block);
        maxima = sums + (block * padded);
        totals = maxima + block;
        shrink = totals + block;
        biases = shrink + V.Count;
        keyCopy = biases + KeyBlock;
        valueCopy = keyCopy + (KeyBlock * inner);
        new Span<float>(packed, inner * block).Clear();
        new Span<float>(maxima, block).Fill(float.MinValue);
        new Span<float>(totals, block).Clear();
        new Span<float>(sums, block * padded).Clear();
    }

    /// <summary>Gets the number of queries.</summary>
    public int Queries { get; }

    /// <summary>Sets a query, divided by √width. Queries are in panels of as many as are computed simultaneously: (inner, columns)
    /// each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public readonly void SetQuery(int row, float* query)
    {
        V.CheckRead(query, inner);
        var (columns, scale) = (MicroKernel<V>.Columns, 1 / MathF.Sqrt(inner));
        var to = packed + (row / columns * columns * inner) + (row % columns);
        for (var at = 0; at < inner; at++)
        {
            to[at * columns] = query[at] * scale;
        }
    }

    /// <summary>Lets the queries attend to keys.</summary>
    /// <param name="key">The keys.</param>
    /// <param name="value">Their values.</param>
    /// <param name="keys">The number of keys.</param>
    /// <param name="bias">Added to the logits of each key; null for none.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Attend(HeadRows key, HeadRows value, int keys, float* bias)
    {
        for (var first = 0; first < keys; first += KeyBlock)
        {
            var count = Math.Min(KeyBlock, keys - first);
            var (values, step) = ((nint)(value.Start + (first * value.Step)), value.Step);
            if (padded != width || step % PageOfFloats == 0)
            {
                for (var row = 0; row < count; row++)
                {
                    Copy((float*)values + (row * step), width, valueCopy + (row * padded), padded);
                }

                (values, step) = ((nint)valueCopy, padded);
            }

            Attend(key.Start + (first * key.Step), key.Step, (float*)values, step, count, bias == null ? null : bias + first);
        }
    }

    /// <summary>Lets the queries attend to tokens of other images.</summary>
    /// <param name="key">The keys of the batch.</param>
    /// <param name="value">Their values.</param>
    /// <param name="start">The row that image 0 has, or would have.</param>
    /// <param name="head">The head.</param>
    /// <param name="tokens">The number of tokens of an image.</param>
    /// <param name="crossImage">The tokens.</param>
    /// <param name="kept">Those of images that are not in the batch.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void AttendCrossImage(
        HeadView key, HeadView value, int start, int head, int tokens, CrossImageTokens crossImage, in KeptHeads kept)
    {
        new Span<float>(biases, KeyBlock).Fill(crossImage.Bias);
        for (var first = 0; first < crossImage.Tokens.Length; first += KeyBlock)
        {
            var count = Math.Min(KeyBlock, crossImage.Tokens.Length - first);
            for (var row = 0; row < count; row++)
            {
                var at = crossImage.Tokens[first + row];
                var (image, token) = Math.DivRem(at, tokens);
                var isKept = image < kept.Images;
                var keyRow = isKept ? kept.Key.At(0, head, kept.Rows[at]) : key.At(start + image, head, token);
                var valueRow = isKept ? kept.Value.At(0, head, kept.Rows[at]) : value.At(start + image, head, token);
                Copy(keyRow.Start, inner, keyCopy + (row * inner), inner);
                Copy(valueRow.Start, width, valueCopy + (row * padded), padded);
            }

            Attend(keyCopy, inner, valueCopy, padded, count, crossImage.Bias == 0 ? null : biases);
        }
    }

    /// <summary>Gets the result of a query.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public readonly void GetResult(int row, float* to)
    {
        V.CheckWrite(to, width);
        Scale(sums + (row * padded), padded, 1 / totals[row]);
        new Span<float>(sums + (row * padded), width).CopyTo(new Span<float>(to, width));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Attend(float* key, nint keyStep, float* value, nint valueStep, int count, float* bias)
    {
        var (columns, block) = (MicroKernel<V>.Columns, Size);
        for (var panel = 0; panel < Queries; panel += columns)
        {
            for (var row = 0; row < count; row += MicroKernel<V>.Rows)
            {
                MicroKernel<V>.Multiply(
                    key + (row * keyStep), keyStep, 1, packed + (panel * inner), columns,
                    scores + (row * block) + panel, block, Math.Min(MicroKernel<V>.Rows, count - row), inner, add: false);
            }
        }

        for (var at = 0; at < Queries; at += V.Count)
        {
            Softmax(scores + at, bias, count, maxima + at, totals + at, shrink);
            for (var one = 0; hasAttended && one < V.Count; one++)
            {
                Scale(sums + ((at + one) * padded), padded, shrink[one]);
            }
        }

        for (var panel = 0; panel < padded; panel += columns)
        {
            for (var row = 0; row < Queries; row += MicroKernel<V>.Rows)
            {
                MicroKernel<V>.Multiply(
                    scores + row, 1, block, value + panel, valueStep,
                    sums + (row * padded) + panel, padded, Math.Min(MicroKernel<V>.Rows, Queries - row), count, add: true);
            }
        }

        hasAttended = true;
    }

    /// <summary>Replaces the logits of a vector's queries by e^(logit − maximum).</summary>
    /// <param name="scores">(keys, queries); the queries of a row are contiguous.</param>
    /// <param name="bias">Added to the logits of each key; null for none.</param>
    /// <param name="count">The number of keys.</param>
    /// <param name="maxima">The greatest logit so far; brought up to date.</param>
    /// <param name="totals">The sum so far; brought up to date.</param>
    /// <param name="shrink">Receives the factors of what was summed before, which was relative to the maximum until then.</param>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void Softmax(float* scores, float* bias, int count, float* maxima, float* totals, float* shrink)
    {
        var block = Size;
        var before = V.Load(maxima);
        var most = before;
        for (var row = 0; bias != null && row < count; row++)
        {
            (V.Load(scores + (row * block)) + V.Broadcast(bias + row)).Store(scores + (row * block));
        }

        for (var row = 0; row < count; row++)
        {
            most = V.Max(most, V.Load(scores + (row * block)));
        }

        var total = V.Create(0);
        for (var row = 0; row < count; row++)
        {
            var weight = VectorMath<V>.Exp(V.Load(scores + (row * block)) - most);
            total += weight;
            weight.Store(scores + (row * block));
        }

        var factor = VectorMath<V>.Exp(before - most);
        factor.Store(shrink);
        most.Store(maxima);
        V.FusedMultiplyAdd(V.Load(totals), factor, total).Store(totals);
    }

    /// <summary>Copies a row, and zeros after it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Copy(float* from, int width, float* to, int padded)
    {
        V.CheckRead(from, width);
        V.CheckWrite(to, padded);
        new Span<float>(from, width).CopyTo(new Span<float>(to, width));
        new Span<float>(to + width, padded - width).Clear();
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Scale(float* row, int width, float factor)
    {
        var scale = V.Create(factor);
        for (var at = 0; at < width; at += V.Count)
        {
            (V.Load(row + at) * scale).Store(row + at);
        }
    }
}
