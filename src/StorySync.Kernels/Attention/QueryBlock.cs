using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary><see cref="AttentionKernel"/> with certain lanes.</summary>
internal static unsafe class AttentionKernel<V>
    where V : unmanaged, IFloatVector<V>
{
    private const int KeysAtOnce = 128;

    // Rows as far apart as this crowd each other out of the cache.
    private const int PageOfFloats = 4096 / sizeof(float);

    private static int QueriesAtOnce => 3 * MicroKernel<V>.Columns;

    public static Tensor Apply(Tensor query, Tensor key, Tensor value, Tensor? mask = null)
    {
        var (batch, heads, queries) = ((int)query.size(0), (int)query.size(1), (int)query.size(2));
        var (keys, inner, width) = ((int)key.size(2), (int)query.size(3), (int)value.size(3));
        using var attended = empty([batch, queries, heads, width]);
        var result = attended.transpose(1, 2);
        var (q, k, v, o) = (new Heads(query), new Heads(key), new Heads(value), new Heads(result));
        var (bias, biasOfImage) = mask is null ? (0, 0) : ((nint)TensorMemory.Address(mask), mask.size(0) == 1 ? 0 : (int)mask.stride(0));
        var blocks = (queries + QueriesAtOnce - 1) / QueriesAtOnce;
        ThreadTeam.Run(width > 0 ? batch * heads * blocks : 0, piece =>
        {
            var (image, head, block) = (piece / blocks / heads, piece / blocks % heads, piece % blocks);
            var first = block * QueriesAtOnce;
            var work = new Work(inner, width, Math.Min(QueriesAtOnce, queries - first));
            var rows = q.At(image, head, first);
            for (var row = 0; row < work.Queries; row++)
            {
                work.Ask(row, rows.Start + (row * rows.Step));
            }

            work.Read(k.At(image, head), v.At(image, head), keys, bias == 0 ? null : (float*)bias + (image * biasOfImage));
            rows = o.At(image, head, first);
            for (var row = 0; row < work.Queries; row++)
            {
                work.Answer(row, rows.Start + (row * rows.Step));
            }
        });
        GC.KeepAlive(query);
        GC.KeepAlive(key);
        GC.KeepAlive(value);
        GC.KeepAlive(mask);
        return result;
    }

    public static Tensor ApplyShared(Tensor query, Tensor key, Tensor value, int images, IReadOnlyList<TokenGroup> groups, float foreignBias)
    {
        var (rows, heads, tokens) = ((int)query.size(0), (int)query.size(1), (int)query.size(2));
        var (inner, width) = ((int)query.size(3), (int)value.size(3));
        using var attended = empty([rows, tokens, heads, width]);
        var result = attended.transpose(1, 2);
        var (q, k, v, o) = (new Heads(query), new Heads(key), new Heads(value), new Heads(result));
        (TokenGroup Group, int First)[] blocks =
            [.. groups.SelectMany(group => Enumerable.Range(0, (group.Queries.Length + QueriesAtOnce - 1) / QueriesAtOnce).Select(i => (group, i * QueriesAtOnce)))];
        ThreadTeam.Run(width > 0 ? rows / images * heads * blocks.Length : 0, piece =>
        {
            var ((group, first), head, start) = (blocks[piece % blocks.Length], piece / blocks.Length % heads, piece / blocks.Length / heads * images);
            var image = start + group.Image;
            var work = new Work(inner, width, Math.Min(QueriesAtOnce, group.Queries.Length - first));
            for (var row = 0; row < work.Queries; row++)
            {
                work.Ask(row, q.At(image, head, group.Queries[first + row]).Start);
            }

            work.Read(k.At(image, head), v.At(image, head), tokens, null);
            work.ReadForeign(k, v, start, head, tokens, group.Foreign, foreignBias);
            for (var row = 0; row < work.Queries; row++)
            {
                work.Answer(row, o.At(image, head, group.Queries[first + row]).Start);
            }
        });
        GC.KeepAlive(query);
        GC.KeepAlive(key);
        GC.KeepAlive(value);
        return result;
    }

    /// <summary>A few queries on their way over the keys, in a thread's scratch memory.</summary>
    private ref struct Work
    {
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
        private bool hasRead;

        public Work(int inner, int width, int queries)
        {
            var (columns, block) = (MicroKernel<V>.Columns, QueriesAtOnce);
            (this.inner, this.width, Queries) = (inner, width, queries);
            padded = (width + columns - 1) / columns * columns;
            packed = Scratch.Floats(
                (inner * block) + (KeysAtOnce * block) + (block * padded) + (2 * block) + V.Count + (KeysAtOnce * (1 + inner + padded)));
            scores = packed + (inner * block);
            sums = scores + (KeysAtOnce * block);
            maxima = sums + (block * padded);
            totals = maxima + block;
            shrink = totals + block;
            biases = shrink + V.Count;
            keyCopy = biases + KeysAtOnce;
            valueCopy = keyCopy + (KeysAtOnce * inner);
            new Span<float>(packed, inner * block).Clear();
            new Span<float>(maxima, block).Fill(float.MinValue);
            new Span<float>(totals, block).Clear();
            new Span<float>(sums, block * padded).Clear();
        }

        public int Queries { get; }

        /// <summary>Takes a query, divided by √width. Queries lie in panels of as many as are computed at once: (inner, columns) each.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Ask(int row, float* query)
        {
            var (columns, scale) = (MicroKernel<V>.Columns, 1 / MathF.Sqrt(inner));
            var to = packed + (row / columns * columns * inner) + (row % columns);
            for (var at = 0; at < inner; at++)
            {
                to[at * columns] = query[at] * scale;
            }
        }

        /// <summary>Lets the queries read keys.</summary>
        /// <param name="key">The keys.</param>
        /// <param name="value">Their values.</param>
        /// <param name="keys">How many.</param>
        /// <param name="bias">Added to the logits of each key; null for none.</param>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Read(Rows key, Rows value, int keys, float* bias)
        {
            for (var first = 0; first < keys; first += KeysAtOnce)
            {
                var count = Math.Min(KeysAtOnce, keys - first);
                var (values, step) = ((nint)(value.Start + (first * value.Step)), value.Step);
                if (padded != width || step % PageOfFloats == 0)
                {
                    for (var row = 0; row < count; row++)
                    {
                        Copy((float*)values + (row * step), width, valueCopy + (row * padded), padded);
                    }

                    (values, step) = ((nint)valueCopy, padded);
                }

                Read(key.Start + (first * key.Step), key.Step, (float*)values, step, count, bias == null ? null : bias + first);
            }
        }

        /// <summary>Lets the queries read tokens of other images.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void ReadForeign(Heads key, Heads value, int start, int head, int tokens, int[] foreign, float bias)
        {
            new Span<float>(biases, KeysAtOnce).Fill(bias);
            for (var first = 0; first < foreign.Length; first += KeysAtOnce)
            {
                var count = Math.Min(KeysAtOnce, foreign.Length - first);
                for (var row = 0; row < count; row++)
                {
                    var (image, token) = Math.DivRem(foreign[first + row], tokens);
                    Copy(key.At(start + image, head, token).Start, inner, keyCopy + (row * inner), inner);
                    Copy(value.At(start + image, head, token).Start, width, valueCopy + (row * padded), padded);
                }

                Read(keyCopy, inner, valueCopy, padded, count, bias == 0 ? null : biases);
            }
        }

        /// <summary>Gives what a query has read.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public readonly void Answer(int row, float* to)
        {
            Scale(sums + (row * padded), padded, 1 / totals[row]);
            new Span<float>(sums + (row * padded), width).CopyTo(new Span<float>(to, width));
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Read(float* key, nint keyStep, float* value, nint valueStep, int count, float* bias)
        {
            var (columns, block) = (MicroKernel<V>.Columns, QueriesAtOnce);
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
                for (var one = 0; hasRead && one < V.Count; one++)
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

            hasRead = true;
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
        var before = V.Load(maxima);
        var most = before;
        for (var row = 0; bias != null && row < count; row++)
        {
            (V.Load(scores + (row * block)) + V.Create(bias[row])).Store(scores + (row * block));
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

    /// <summary>A row, with zeros behind it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Copy(float* from, int width, float* to, int padded)
    {
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
