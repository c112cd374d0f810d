using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Linear layers, with what follows them in the same pass. For float32 on the CPU.</summary>
/// <remarks>Some rows of the input meet some panels of the weights; both stay in the cache. An output depends on nothing but its row: not
/// on the batch, nor on the number of threads.</remarks>
internal static class LinearKernel
{
    /// <summary>Whether <see cref="Apply"/> takes this input.</summary>
    public static bool Supports(Tensor input) => Simd.IsSupported && TensorMemory.CanRead(input);

    /// <summary><c>x Wᵀ + b</c>, and what follows.</summary>
    /// <param name="input">(…, in); is copied where it is not contiguous.</param>
    /// <param name="panels">From <see cref="PackedMatrix"/>: one part, or two for <see cref="LinearEpilogue.Geglu"/>; in float32, or in float16 or
    /// bfloat16, from which they are converted as they are read.</param>
    /// <param name="outFeatures">Outputs of a part.</param>
    /// <param name="bias">(outputs of all parts); null for none.</param>
    /// <param name="epilogue">What follows.</param>
    /// <returns>(…, <paramref name="outFeatures"/>).</returns>
    /// <exception cref="ArgumentException">The input is not as wide as the weights.</exception>
    public static Tensor Apply(Tensor input, Tensor[] panels, long outFeatures, Tensor? bias, LinearEpilogue epilogue = LinearEpilogue.None)
    {
        var shape = input.shape;
        if (shape.Length == 0 || shape[^1] != panels[0].size(1))
        {
            throw new ArgumentException(
                $"A layer with weights ({outFeatures * panels.Length}, {panels[0].size(1)}) cannot take an input ({string.Join(", ", shape)}).", nameof(input));
        }

        shape[^1] = outFeatures;
        var result = empty(shape);
        using var rows = input.contiguous();
        if (Simd.Use512)
        {
            new LinearProduct<Vector512Float>(rows, panels, bias, result, epilogue).Compute();
        }
        else
        {
            new LinearProduct<VectorNative>(rows, panels, bias, result, epilogue).Compute();
        }

        GC.KeepAlive(panels);
        GC.KeepAlive(bias);
        return result;
    }
}

/// <summary>One call of <see cref="LinearKernel"/>.</summary>
internal sealed unsafe class LinearProduct<V>(Tensor input, Tensor[] panels, Tensor? bias, Tensor result, LinearEpilogue epilogue)
    where V : unmanaged, IFloatVector<V>
{
    private const int RowsAtOnce = 16 * MicroKernel<V>.Rows;

    // So many products of a panel's columns, and of the rows that they meet, lie in the first cache.
    private const int InnerAtOnce = 256;

    // Less work is done sooner than other threads are woken.
    private const long WorthSharing = 1 << 18;

    private const int PiecesOfAThread = 4;

    private readonly float* from = TensorMemory.Address(input);
    private readonly nint weights = (nint)TensorMemory.Address(panels[0]);
    private readonly nint gates = panels.Length > 1 ? (nint)TensorMemory.Address(panels[1]) : 0;
    private readonly ScalarType stored = panels[0].dtype;
    private readonly float* biases = bias is null ? null : TensorMemory.Address(bias);
    private readonly float* to = TensorMemory.Address(result);
    private readonly int inner = (int)panels[0].size(1);
    private readonly int width = (int)result.size(-1);
    private readonly int panelCount = (int)panels[0].size(0);
    private readonly long rows = result.numel() / Math.Max(1, result.size(-1));

    /// <summary>Fills the result.</summary>
    public void Compute()
    {
        var blocks = (int)((rows + RowsAtOnce - 1) / RowsAtOnce);
        var groups = Math.Clamp(((PiecesOfAThread * get_num_threads()) + blocks - 1) / Math.Max(1, blocks), 1, Math.Max(1, panelCount));
        var ofGroup = (panelCount + groups - 1) / groups;
        if (rows * inner * width >= WorthSharing)
        {
            ThreadTeam.Run(blocks * groups, Piece);
            return;
        }

        for (var piece = 0; piece < blocks * groups; piece++)
        {
            Piece(piece);
        }

        void Piece(int piece)
        {
            var (first, group) = ((long)(piece / groups) * RowsAtOnce, piece % groups);
            for (var panel = group * ofGroup; panel < Math.Min(panelCount, (group + 1) * ofGroup); panel++)
            {
                Panel(first, (int)Math.Min(RowsAtOnce, rows - first), panel);
            }
        }
    }

    /// <summary>Some rows' outputs of one panel.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Panel(long first, int count, int panel)
    {
        var columns = MicroKernel<V>.Columns;
        var valid = Math.Min(columns, width - (panel * columns));
        var ownBias = Scratch.Floats((2 * columns) + (((2 * RowsAtOnce) + InnerAtOnce) * columns));
        var gateBias = ownBias + columns;
        var scratch = gateBias + columns;
        var gateSums = scratch + (RowsAtOnce * columns);
        var converted = gateSums + (RowsAtOnce * columns);
        Copy(biases, panel * columns, valid, ownBias, columns);
        var start = from + (first * inner);
        var place = to + (first * width) + (panel * columns);
        var sums = valid == columns ? place : scratch;
        var step = valid == columns ? width : columns;

        Multiply(start, count, weights, panel, converted, sums, step);
        switch (epilogue)
        {
            case LinearEpilogue.Geglu:
                Copy(biases, width + (panel * columns), valid, gateBias, columns);
                Multiply(start, count, gates, panel, converted, gateSums, columns);
                Gate(sums, step, ownBias, gateSums, gateBias, count);
                break;
            case LinearEpilogue.GeluTanh:
                GeluTanh(sums, step, ownBias, count);
                break;
            default:
                if (biases != null)
                {
                    Add(sums, step, ownBias, count);
                }

                break;
        }

        for (var row = 0; sums == scratch && row < count; row++)
        {
            new Span<float>(scratch + (row * columns), valid).CopyTo(new Span<float>(place + ((nint)row * width), valid));
        }
    }

    /// <summary>Numbers of a vector that may be missing, with zeros behind them.</summary>
    private static void Copy(float* from, int first, int count, float* to, int columns)
    {
        new Span<float>(to, columns).Clear();
        if (from != null)
        {
            new Span<float>(from + first, count).CopyTo(new Span<float>(to, count));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Multiply(float* start, int count, nint part, int panel, float* converted, float* sums, nint step)
    {
        var columns = MicroKernel<V>.Columns;
        for (var at = 0; at == 0 || at < inner; at += InnerAtOnce)
        {
            var length = Math.Min(InnerAtOnce, inner - at);
            var block = HalfLoad<V>.ToFloat32(part + ((((nint)panel * inner) + at) * columns * HalfLoad<V>.Size(stored)), stored, length, converted);
            for (var row = 0; row < count; row += MicroKernel<V>.Rows)
            {
                MicroKernel<V>.Multiply(
                    start + ((nint)row * inner) + at, inner, 1, block, columns, sums + (row * step), step,
                    Math.Min(MicroKernel<V>.Rows, count - row), length, add: at > 0);
            }
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void Add(float* sums, nint step, float* bias, int count)
    {
        var (left, right) = (V.Load(bias), V.Load(bias + V.Count));
        for (var row = 0; row < count; row++, sums += step)
        {
            (V.Load(sums) + left).Store(sums);
            (V.Load(sums + V.Count) + right).Store(sums + V.Count);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void GeluTanh(float* sums, nint step, float* bias, int count)
    {
        var (left, right) = (V.Load(bias), V.Load(bias + V.Count));
        for (var row = 0; row < count; row++, sums += step)
        {
            VectorMath<V>.GeluTanh(V.Load(sums) + left).Store(sums);
            VectorMath<V>.GeluTanh(V.Load(sums + V.Count) + right).Store(sums + V.Count);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void Gate(float* sums, nint step, float* bias, float* gates, float* gateBias, int count)
    {
        for (var half = 0; half < 2; half++, sums += V.Count, gates += V.Count)
        {
            var (own, open) = (V.Load(bias + (half * V.Count)), V.Load(gateBias + (half * V.Count)));
            for (var row = 0; row < count; row++)
            {
                var place = sums + (row * step);
                ((V.Load(place) + own) * VectorMath<V>.Gelu(V.Load(gates + (row * MicroKernel<V>.Columns)) + open)).Store(place);
            }
        }
    }
}
