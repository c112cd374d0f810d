using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>What a linear layer's output goes through in the same pass.</summary>
internal enum LinearOutput
{
    /// <summary>Nothing.</summary>
    Plain,

    /// <summary>The tanh approximation of GELU.</summary>
    TanhGelu,

    /// <summary>The second part's exact GELU is multiplied with the first part.</summary>
    Gated,
}

/// <summary>Linear layers, with what follows them in the same pass. For float32 on the CPU.</summary>
/// <remarks>Some rows of the input meet some panels of the weights; both stay in the cache. An output depends on nothing but its row: not
/// on the batch, nor on the number of threads.</remarks>
internal static class LinearKernel
{
    /// <summary>Whether <see cref="Apply"/> takes this input.</summary>
    public static bool Takes(Tensor input) => Lanes.AreAccelerated && TensorMemory.CanRead(input);

    /// <summary><c>x Wᵀ + b</c>, and what follows.</summary>
    /// <param name="input">(…, in); is copied where it is not contiguous.</param>
    /// <param name="panels">From <see cref="WeightPanels"/>: one part, or two for <see cref="LinearOutput.Gated"/>; in float32, or in float16 or
    /// bfloat16, from which they are converted as they are read.</param>
    /// <param name="outFeatures">Outputs of a part.</param>
    /// <param name="bias">(outputs of all parts); null for none.</param>
    /// <param name="output">What follows.</param>
    /// <returns>(…, <paramref name="outFeatures"/>).</returns>
    /// <exception cref="ArgumentException">The input is not as wide as the weights.</exception>
    public static Tensor Apply(Tensor input, Tensor[] panels, long outFeatures, Tensor? bias, LinearOutput output = LinearOutput.Plain)
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
        if (Lanes.AreWide)
        {
            new LinearProduct<WideLanes>(rows, panels, bias, result, output).Compute();
        }
        else
        {
            new LinearProduct<NativeLanes>(rows, panels, bias, result, output).Compute();
        }

        GC.KeepAlive(panels);
        GC.KeepAlive(bias);
        return result;
    }
}

/// <summary>One call of <see cref="LinearKernel"/>.</summary>
internal sealed unsafe class LinearProduct<T>(Tensor input, Tensor[] panels, Tensor? bias, Tensor result, LinearOutput output)
    where T : unmanaged, ILanes<T>
{
    private const int RowsAtOnce = 16 * MatrixKernel<T>.Rows;

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
        var columns = MatrixKernel<T>.Columns;
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
        switch (output)
        {
            case LinearOutput.Gated:
                Copy(biases, width + (panel * columns), valid, gateBias, columns);
                Multiply(start, count, gates, panel, converted, gateSums, columns);
                Gate(sums, step, ownBias, gateSums, gateBias, count);
                break;
            case LinearOutput.TanhGelu:
                TanhGelu(sums, step, ownBias, count);
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
        var columns = MatrixKernel<T>.Columns;
        for (var at = 0; at == 0 || at < inner; at += InnerAtOnce)
        {
            var length = Math.Min(InnerAtOnce, inner - at);
            var block = StoredNumbers<T>.InFloat32(part + ((((nint)panel * inner) + at) * columns * StoredNumbers<T>.Size(stored)), stored, length, converted);
            for (var row = 0; row < count; row += MatrixKernel<T>.Rows)
            {
                MatrixKernel<T>.Multiply(
                    start + ((nint)row * inner) + at, inner, 1, block, columns, sums + (row * step), step,
                    Math.Min(MatrixKernel<T>.Rows, count - row), length, add: at > 0);
            }
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void Add(float* sums, nint step, float* bias, int count)
    {
        var (left, right) = (T.Load(bias), T.Load(bias + T.Count));
        for (var row = 0; row < count; row++, sums += step)
        {
            (T.Load(sums) + left).Store(sums);
            (T.Load(sums + T.Count) + right).Store(sums + T.Count);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void TanhGelu(float* sums, nint step, float* bias, int count)
    {
        var (left, right) = (T.Load(bias), T.Load(bias + T.Count));
        for (var row = 0; row < count; row++, sums += step)
        {
            FloatMath<T>.TanhGelu(T.Load(sums) + left).Store(sums);
            FloatMath<T>.TanhGelu(T.Load(sums + T.Count) + right).Store(sums + T.Count);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void Gate(float* sums, nint step, float* bias, float* gates, float* gateBias, int count)
    {
        for (var half = 0; half < 2; half++, sums += T.Count, gates += T.Count)
        {
            var (own, open) = (T.Load(bias + (half * T.Count)), T.Load(gateBias + (half * T.Count)));
            for (var row = 0; row < count; row++)
            {
                var place = sums + (row * step);
                ((T.Load(place) + own) * FloatMath<T>.Gelu(T.Load(gates + (row * MatrixKernel<T>.Columns)) + open)).Store(place);
            }
        }
    }
}
