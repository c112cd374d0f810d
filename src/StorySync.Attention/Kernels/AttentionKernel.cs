using System.Numerics;
using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace StorySync.Attention.Kernels;

/// <summary>Scaled dot-product attention for float32 on the CPU; the logits are never whole in memory (Dao et al., FlashAttention,
/// arXiv 2205.14135).</summary>
/// <remarks>A few queries at a time pass over the keys. Their logits lie with the queries side by side, so that the softmax, too, computes
/// on many at once. A query's result depends on nothing but its own row: not on the batch, nor on the number of threads.</remarks>
internal static unsafe class AttentionKernel
{
    private const int KeysAtOnce = 128;

    // The queries that are computed at once, and as much of the keys, fill the cache.
    private const int WidestHead = 256;

    // Rows as far apart as this crowd each other out of the cache.
    private const int PageOfFloats = 4096 / sizeof(float);

    private static int QueriesAtOnce => 3 * MatrixKernel.Columns;

    /// <summary>Whether <see cref="Apply"/> takes these.</summary>
    public static bool Takes(Tensor query, Tensor key, Tensor value, Tensor? mask = null) =>
        Vector.IsHardwareAccelerated && IsReadable(query) && IsReadable(key) && IsReadable(value)
        && (mask is null || (IsReadable(mask) && mask.shape[1] == 1 && mask.shape[2] == 1 && mask.shape[3] == key.shape[2]
            && (mask.shape[0] == 1 || mask.shape[0] == query.shape[0])))
        && key.shape[2] > 0 && key.shape.AsSpan(0, 3).SequenceEqual(value.shape.AsSpan(0, 3))
        && query.shape[0] == key.shape[0] && query.shape[1] == key.shape[1] && query.shape[3] == key.shape[3]
        && query.shape[3] <= WidestHead && value.shape[3] <= WidestHead;

    /// <summary>Attends.</summary>
    /// <param name="query">(batch, heads, query tokens, width).</param>
    /// <param name="key">(batch, heads, key tokens, width).</param>
    /// <param name="value">(batch, heads, key tokens, value width).</param>
    /// <param name="mask">Added to the logits, (batch or 1, 1, 1, key tokens); null for none.</param>
    /// <returns>(batch, heads, query tokens, value width); in memory a token's heads are side by side.</returns>
    public static Tensor Apply(Tensor query, Tensor key, Tensor value, Tensor? mask = null)
    {
        var (batch, heads, queries) = ((int)query.shape[0], (int)query.shape[1], (int)query.shape[2]);
        var width = (int)value.shape[3];
        using var attended = empty([batch, queries, heads, width]);
        var result = attended.transpose(1, 2);
        var (q, k, v, o) = (new Heads(query), new Heads(key), new Heads(value), new Heads(result));
        var (keys, inner) = ((int)key.shape[2], (int)query.shape[3]);
        var (bias, biasOfImage) = mask is null ? (0, 0) : ((nint)TensorMemory.Address(mask), mask.shape[0] == 1 ? 0 : (int)mask.stride(0));
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

    private static bool IsReadable(Tensor tensor) =>
        TensorMemory.CanRead(tensor) && tensor.dim() == 4 && (tensor.stride(3) == 1 || tensor.shape[3] == 1);

    private static void Attend(Rows query, Rows key, Rows value, Rows output, float* bias, int queries, int keys, int inner, int width)
    {
        var (columns, block) = (MatrixKernel.Columns, QueriesAtOnce);
        var padded = (width + columns - 1) / columns * columns;
        var packed = Scratch.Floats((inner * block) + (KeysAtOnce * block) + (block * padded) + (2 * block) + (KeysAtOnce * padded));
        var scores = packed + (inner * block);
        var sums = scores + (KeysAtOnce * block);
        var maxima = sums + (block * padded);
        var totals = maxima + block;
        var copy = totals + block;
        Pack(query, queries, inner, packed);
        new Span<float>(maxima, block).Fill(float.MinValue);
        new Span<float>(totals, block).Clear();
        new Span<float>(sums, block * padded).Clear();

        for (var first = 0; first < keys; first += KeysAtOnce)
        {
            var count = Math.Min(KeysAtOnce, keys - first);
            for (var panel = 0; panel < queries; panel += columns)
            {
                for (var row = 0; row < count; row += MatrixKernel.Rows)
                {
                    MatrixKernel.Multiply(
                        key.Start + ((first + row) * key.Step), key.Step, 1, packed + (panel * inner), columns,
                        scores + (row * block) + panel, block, Math.Min(MatrixKernel.Rows, count - row), inner, add: false);
                }
            }

            for (var at = 0; at < queries; at += Vector<float>.Count)
            {
                var shrink = Softmax(scores + at, bias == null ? null : bias + first, count, maxima + at, totals + at);
                for (var one = 0; first > 0 && one < Vector<float>.Count; one++)
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
                for (var row = 0; row < queries; row += MatrixKernel.Rows)
                {
                    MatrixKernel.Multiply(
                        scores + row, 1, block, values + panel, step,
                        sums + (row * padded) + panel, padded, Math.Min(MatrixKernel.Rows, queries - row), count, add: true);
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
    /// <returns>By what anything summed before must be multiplied, as it was relative to the maximum until then.</returns>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Vector<float> Softmax(float* scores, float* bias, int count, float* maxima, float* totals)
    {
        var block = QueriesAtOnce;
        var before = Vector.Load(maxima);
        var most = before;
        for (var row = 0; bias != null && row < count; row++)
        {
            (Vector.Load(scores + (row * block)) + Vector.Create(bias[row])).Store(scores + (row * block));
        }

        for (var row = 0; row < count; row++)
        {
            most = Vector.MaxNative(most, Vector.Load(scores + (row * block)));
        }

        var total = Vector<float>.Zero;
        for (var row = 0; row < count; row++)
        {
            var weight = FloatMath.Exp(Vector.Load(scores + (row * block)) - most);
            total += weight;
            weight.Store(scores + (row * block));
        }

        var shrink = FloatMath.Exp(before - most);
        most.Store(maxima);
        Vector.FusedMultiplyAdd(Vector.Load(totals), shrink, total).Store(totals);
        return shrink;
    }

    /// <summary>The queries, divided by √width, in panels of as many as are computed at once: (inner, columns) each; zeros behind the last.</summary>
    private static void Pack(Rows query, int queries, int inner, float* packed)
    {
        var (columns, scale) = (MatrixKernel.Columns, 1 / MathF.Sqrt(inner));
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
        for (var at = 0; at < width; at += Vector<float>.Count)
        {
            (Vector.Load(row + at) * factor).Store(row + at);
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
