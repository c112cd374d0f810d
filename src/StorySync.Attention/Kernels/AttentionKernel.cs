using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace StorySync.Attention.Kernels;

/// <summary>Scaled dot-product attention for float32 on the CPU; the logits are never whole in memory (Dao et al., FlashAttention,
/// arXiv 2205.14135).</summary>
/// <remarks>A few queries at a time pass over the keys. Their logits lie with the queries side by side, so that the softmax, too, computes
/// on many at once. A query's result depends on nothing but its own row: not on the batch, nor on the number of threads.</remarks>
internal static class AttentionKernel
{
    // The queries that are computed at once, and as much of the keys, fill the cache.
    private const int WidestHead = 256;

    /// <summary>Whether <see cref="Apply"/> takes these.</summary>
    public static bool Takes(Tensor query, Tensor key, Tensor value, Tensor? mask = null) =>
        Lanes.AreAccelerated && IsReadable(query) && IsReadable(key) && IsReadable(value)
        && (mask is null || (IsReadable(mask) && mask.size(1) == 1 && mask.size(2) == 1 && mask.size(3) == key.size(2)
            && (mask.size(0) == 1 || mask.size(0) == query.size(0))))
        && key.size(2) > 0 && key.size(0) == value.size(0) && key.size(1) == value.size(1) && key.size(2) == value.size(2)
        && query.size(0) == key.size(0) && query.size(1) == key.size(1) && query.size(3) == key.size(3)
        && query.size(3) <= WidestHead && value.size(3) <= WidestHead;

    /// <summary>Attends.</summary>
    /// <param name="query">(batch, heads, query tokens, width).</param>
    /// <param name="key">(batch, heads, key tokens, width).</param>
    /// <param name="value">(batch, heads, key tokens, value width).</param>
    /// <param name="mask">Added to the logits, (batch or 1, 1, 1, key tokens); null for none.</param>
    /// <returns>(batch, heads, query tokens, value width); in memory a token's heads are side by side.</returns>
    public static Tensor Apply(Tensor query, Tensor key, Tensor value, Tensor? mask = null) => Lanes.AreWide
        ? AttentionKernel<WideLanes>.Apply(query, key, value, mask)
        : AttentionKernel<NativeLanes>.Apply(query, key, value, mask);

    private static bool IsReadable(Tensor tensor) =>
        TensorMemory.CanRead(tensor) && tensor.dim() == 4 && (tensor.stride(3) == 1 || tensor.size(3) == 1);
}

/// <summary><see cref="AttentionKernel"/> with certain lanes.</summary>
internal static unsafe class AttentionKernel<T>
    where T : unmanaged, ILanes<T>
{
    private const int KeysAtOnce = 128;

    // Rows as far apart as this crowd each other out of the cache.
    private const int PageOfFloats = 4096 / sizeof(float);

    private static int QueriesAtOnce => 3 * MatrixKernel<T>.Columns;

    public static Tensor Apply(Tensor query, Tensor key, Tensor value, Tensor? mask = null)
    {
        var (batch, heads, queries) = ((int)query.size(0), (int)query.size(1), (int)query.size(2));
        var width = (int)value.size(3);
        using var attended = empty([batch, queries, heads, width]);
        var result = attended.transpose(1, 2);
        var (q, k, v, o) = (new Heads(query), new Heads(key), new Heads(value), new Heads(result));
        var (keys, inner) = ((int)key.size(2), (int)query.size(3));
        var (bias, biasOfImage) = mask is null ? (0, 0) : ((nint)TensorMemory.Address(mask), mask.size(0) == 1 ? 0 : (int)mask.stride(0));
        var blocks = (queries + QueriesAtOnce - 1) / QueriesAtOnce;
        if (width > 0)
        {
            ThreadTeam.Run(batch * heads * blocks, piece =>
            {
                var (image, head, block) = (piece / blocks / heads, piece / blocks % heads, piece % blocks);
                var first = block * QueriesAtOnce;
                Attend(q.At(image, head, first), k.At(image, head), v.At(image, head), o.At(image, head, first),
                    bias == 0 ? null : (float*)bias + (image * biasOfImage), Math.Min(QueriesAtOnce, queries - first), keys, inner, width);
            });
        }

        GC.KeepAlive(query);
        GC.KeepAlive(key);
        GC.KeepAlive(value);
        GC.KeepAlive(mask);
        return result;
    }

    private static void Attend(Rows query, Rows key, Rows value, Rows output, float* bias, int queries, int keys, int inner, int width)
    {
        var (columns, block) = (MatrixKernel<T>.Columns, QueriesAtOnce);
        var padded = (width + columns - 1) / columns * columns;
        var packed = Scratch.Floats((inner * block) + (KeysAtOnce * block) + (block * padded) + (2 * block) + T.Count + (KeysAtOnce * padded));
        var scores = packed + (inner * block);
        var sums = scores + (KeysAtOnce * block);
        var maxima = sums + (block * padded);
        var totals = maxima + block;
        var shrink = totals + block;
        var copy = shrink + T.Count;
        Pack(query, queries, inner, packed);
        new Span<float>(maxima, block).Fill(float.MinValue);
        new Span<float>(totals, block).Clear();
        new Span<float>(sums, block * padded).Clear();

        for (var first = 0; first < keys; first += KeysAtOnce)
        {
            var count = Math.Min(KeysAtOnce, keys - first);
            for (var panel = 0; panel < queries; panel += columns)
            {
                for (var row = 0; row < count; row += MatrixKernel<T>.Rows)
                {
                    MatrixKernel<T>.Multiply(
                        key.Start + ((first + row) * key.Step), key.Step, 1, packed + (panel * inner), columns,
                        scores + (row * block) + panel, block, Math.Min(MatrixKernel<T>.Rows, count - row), inner, add: false);
                }
            }

            for (var at = 0; at < queries; at += T.Count)
            {
                Softmax(scores + at, bias == null ? null : bias + first, count, maxima + at, totals + at, shrink);
                for (var one = 0; first > 0 && one < T.Count; one++)
                {
                    Scale(sums + ((at + one) * padded), padded, shrink[one]);
                }
            }

            var values = value.Start + (first * value.Step);
            var step = value.Step;
            if (padded != width || step % PageOfFloats == 0)
            {
                Copy(values, step, copy, count, width, padded);
                values = copy;
                step = padded;
            }

            for (var panel = 0; panel < padded; panel += columns)
            {
                for (var row = 0; row < queries; row += MatrixKernel<T>.Rows)
                {
                    MatrixKernel<T>.Multiply(
                        scores + row, 1, block, values + panel, step,
                        sums + (row * padded) + panel, padded, Math.Min(MatrixKernel<T>.Rows, queries - row), count, add: true);
                }
            }
        }

        for (var row = 0; row < queries; row++)
        {
            Scale(sums + (row * padded), padded, 1 / totals[row]);
            new Span<float>(sums + (row * padded), width).CopyTo(new Span<float>(output.Start + (row * output.Step), width));
        }
    }

    /// <summary>Puts e^(logit − maximum) in the place of the logits of a vector's queries.</summary>
    /// <param name="scores">(keys, queries); the queries of a row lie side by side.</param>
    /// <param name="bias">Added to the logits of each key; null for none.</param>
    /// <param name="count">How many keys.</param>
    /// <param name="maxima">The greatest logit so far; brought up to date.</param>
    /// <param name="totals">The sum so far; brought up to date.</param>
    /// <param name="shrink">Receives by what anything summed before must be multiplied, as it was relative to the maximum until then.</param>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void Softmax(float* scores, float* bias, int count, float* maxima, float* totals, float* shrink)
    {
        var block = QueriesAtOnce;
        var before = T.Load(maxima);
        var most = before;
        for (var row = 0; bias != null && row < count; row++)
        {
            (T.Load(scores + (row * block)) + T.Create(bias[row])).Store(scores + (row * block));
        }

        for (var row = 0; row < count; row++)
        {
            most = T.Max(most, T.Load(scores + (row * block)));
        }

        var total = T.Create(0);
        for (var row = 0; row < count; row++)
        {
            var weight = FloatMath<T>.Exp(T.Load(scores + (row * block)) - most);
            total += weight;
            weight.Store(scores + (row * block));
        }

        var factor = FloatMath<T>.Exp(before - most);
        factor.Store(shrink);
        most.Store(maxima);
        T.FusedMultiplyAdd(T.Load(totals), factor, total).Store(totals);
    }

    /// <summary>The queries, divided by √width, in panels of as many as are computed at once: (inner, columns) each; zeros behind the last.</summary>
    private static void Pack(Rows query, int queries, int inner, float* packed)
    {
        var (columns, scale) = (MatrixKernel<T>.Columns, 1 / MathF.Sqrt(inner));
        for (var row = 0; row < QueriesAtOnce; row++)
        {
            var from = query.Start + (row * query.Step);
            var to = packed + (row / columns * columns * inner) + (row % columns);
            for (var at = 0; at < inner; at++)
            {
                to[at * columns] = row < queries ? from[at] * scale : 0;
            }
        }
    }

    /// <summary>Puts rows one close behind the other, with zeros up to a whole number of columns.</summary>
    private static void Copy(float* from, nint step, float* to, int rows, int width, int padded)
    {
        for (var row = 0; row < rows; row++)
        {
            new Span<float>(from + (row * step), width).CopyTo(new Span<float>(to + (row * padded), width));
            new Span<float>(to + (row * padded) + width, padded - width).Clear();
        }
    }

    private static void Scale(float* row, int width, float factor)
    {
        var scale = T.Create(factor);
        for (var at = 0; at < width; at += T.Count)
        {
            (T.Load(row + at) * scale).Store(row + at);
        }
    }

    /// <summary>Tokens of one head.</summary>
    private readonly record struct Rows(nint Address, nint Step)
    {
        public float* Start => (float*)Address;
    }

    /// <summary>All heads of a tensor.</summary>
    private readonly struct Heads(Tensor tensor)
    {
        private readonly nint start = (nint)TensorMemory.Address(tensor);
        private readonly nint image = (nint)tensor.stride(0);
        private readonly nint head = (nint)tensor.stride(1);
        private readonly nint token = (nint)tensor.stride(2);

        public Rows At(int image, int head, int token = 0) =>
            new((nint)((float*)start + (image * this.image) + (head * this.head) + (token * this.token)), this.token);
    }
}
