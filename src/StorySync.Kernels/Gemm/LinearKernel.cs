using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Linear layers, with what follows them in the same pass. For float32 on the CPU.</summary>
/// <remarks>Some rows of the input meet some panels of the weight; both stay in the cache. An output depends on nothing but its row: not
/// on the batch, nor on the number of threads.</remarks>
internal sealed unsafe class LinearKernel : Kernel
{
    // MC: the rows that meet a panel.
    private const int RowBlock = 16 * MicroRows;

    // KC: so many products of a panel's columns, and of the rows that they meet, fit the first cache.
    private const int KBlock = 256;

    // Less work is done sooner than other threads are woken.
    private const long WorthSharing = 1 << 18;

    private const int PiecesOfAThread = 4;
    private const int MicroRows = MicroKernel<VectorNative>.Rows;

    private readonly LinearEpilogue epilogue;
    private readonly float* from;
    private readonly nint weights;
    private readonly nint gates;
    private readonly ScalarType stored;
    private readonly float* biases;
    private readonly float* to;
    private readonly int inner;
    private readonly int width;
    private readonly int panelCount;
    private readonly long rows;
    private readonly Tensor result;

    private LinearKernel(Tensor input, Tensor[] panels, long outFeatures, Tensor? bias, LinearEpilogue epilogue)
    {
        var shape = input.shape;
        var (first, parts, columns) = (panels[0], epilogue == LinearEpilogue.Geglu ? 2 : 1, Simd.PanelColumns);
        if (shape.Length == 0 || shape[^1] != first.size(1))
        {
            throw ShapeMismatch.OfLayer([outFeatures * panels.Length, first.size(1)], input);
        }

        if (!Supports(input) || panels.Length != parts || !Array.TrueForAll(panels, IsPanel)
            || !TensorMemory.IsVector(bias, outFeatures * parts))
        {
            throw ShapeMismatch.Of($"A product with {parts} · {outFeatures} outputs", ("input", input), ("weight", first), ("bias", bias));
        }

        this.epilogue = epilogue;
        shape[^1] = outFeatures;
        (inner, width, panelCount) = (checked((int)first.size(1)), checked((int)outFeatures), (int)first.size(0));
        result = Allocate(out to, shape);
        rows = result.numel() / Math.Max(1, width);
        from = Input(input);
        (weights, gates, stored) = ((nint)Input(first), parts == 1 ? 0 : (nint)Input(panels[1]), first.dtype);
        biases = Input(bias);

        bool IsPanel(Tensor panel) => panel.dim() == 3 && panel.dtype == first.dtype && HalfLoad<VectorNative>.Supports(panel.dtype)
            && panel.device_type == TorchSharp.DeviceType.CPU && panel.is_contiguous()
            && panel.size(0) == (outFeatures + columns - 1) / columns && panel.size(1) == first.size(1) && panel.size(2) == columns;
    }

    /// <summary>Returns a value indicating whether <see cref="Apply"/> supports an input.</summary>
    public static bool Supports(Tensor input) => Simd.IsSupported && TensorMemory.CanRead(input);

    /// <summary>Computes <c>x Wᵀ + b</c>, and what follows.</summary>
    /// <param name="input">(…, in); is copied where it is not contiguous.</param>
    /// <param name="panels">The weight in the format <see cref="PackedMatrix"/>: one part, or two for <see cref="LinearEpilogue.Geglu"/>.
    /// Halves are converted as they are read.</param>
    /// <param name="outFeatures">The outputs of a part.</param>
    /// <param name="bias">(outputs of all parts); null for none.</param>
    /// <param name="epilogue">What follows.</param>
    /// <returns>(…, <paramref name="outFeatures"/>).</returns>
    /// <exception cref="ArgumentException">The sizes do not fit together.</exception>
    public static Tensor Apply(Tensor input, Tensor[] panels, long outFeatures, Tensor? bias, LinearEpilogue epilogue = LinearEpilogue.None)
    {
        using var contiguous = input.contiguous();
        var kernel = new LinearKernel(contiguous, panels, outFeatures, bias, epilogue);
        kernel.Run();
        return kernel.result;
    }

    protected override void Compute<V>()
    {
        var blocks = checked((int)((rows + RowBlock - 1) / RowBlock));
        var groups = Math.Clamp(((PiecesOfAThread * get_num_threads()) + blocks - 1) / Math.Max(1, blocks), 1, Math.Max(1, panelCount));
        var ofGroup = (panelCount + groups - 1) / groups;
        if (rows * inner * width >= WorthSharing)
        {
            ThreadTeam.Run(checked(blocks * groups), Piece);
            return;
        }

        for (var piece = 0; piece < blocks * groups; piece++)
        {
            Piece(piece);
        }

        void Piece(int piece)
        {
            var (first, group) = ((long)(piece / groups) * RowBlock, piece % groups);
            for (var panel = group * ofGroup; panel < Math.Min(panelCount, (group + 1) * ofGroup); panel++)
            {
                Panel<V>(first, (int)Math.Min(RowBlock, rows - first), panel);
            }
        }
    }

    /// <summary>Some rows' outputs of one panel.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Panel<V>(long first, int count, int panel)
        where V : unmanaged, IFloatVector<V>
    {
        var columns = MicroKernel<V>.Columns;
        var valid = Math.Min(columns, width - (panel * columns));
        var ownBias = Scratch.Floats((2 * columns) + (((2 * RowBlock) + KBlock) * columns));
        var gateBias = ownBias + columns;
        var scratch = gateBias + columns;
        var gateSums = scratch + (RowBlock * columns);
        var converted = gateSums + (RowBlock * columns);
        Copy<V>(biases, panel * columns, valid, ownBias, columns);
        var start = from + (first * inner);
        var place = to + (first * width) + (panel * columns);
        var sums = valid == columns ? place : scratch;
        var step = valid == columns ? width : columns;

        Multiply<V>(start, count, weights, panel, converted, sums, step);
        switch (epilogue)
        {
            case LinearEpilogue.Geglu:
                Copy<V>(biases, width + (panel * columns), valid, gateBias, columns);
                Multiply<V>(start, count, gates, panel, converted, gateSums, columns);
                Gate<V>(sums, step, ownBias, gateSums, gateBias, count);
                break;
            case LinearEpilogue.GeluTanh:
                GeluTanh<V>(sums, step, ownBias, count);
                break;
            default:
                if (biases != null)
                {
                    Add<V>(sums, step, ownBias, count);
                }

                break;
        }

        for (var row = 0; sums == scratch && row < count; row++)
        {
            V.CheckWrite(place + ((nint)row * width), valid);
            new Span<float>(scratch + (row * columns), valid).CopyTo(new Span<float>(place + ((nint)row * width), valid));
        }
    }

    /// <summary>Copies elements of a vector that may be missing, and zeros after them.</summary>
    private static void Copy<V>(float* from, int first, int count, float* to, int columns)
        where V : unmanaged, IFloatVector<V>
    {
        V.CheckWrite(to, columns);
        new Span<float>(to, columns).Clear();
        if (from != null)
        {
            V.CheckRead(from + first, count);
            new Span<float>(from + first, count).CopyTo(new Span<float>(to, count));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Multiply<V>(float* start, int count, nint part, int panel, float* converted, float* sums, nint step)
        where V : unmanaged, IFloatVector<V>
    {
        var columns = MicroKernel<V>.Columns;
        for (var at = 0; at == 0 || at < inner; at += KBlock)
        {
            var length = Math.Min(KBlock, inner - at);
            var block = HalfLoad<V>.ToFloat32(
                part + ((((nint)panel * inner) + at) * columns * HalfLoad<V>.Size(stored)), stored, length, converted);
            for (var row = 0; row < count; row += MicroKernel<V>.Rows)
            {
                MicroKernel<V>.Multiply(
                    start + ((nint)row * inner) + at, inner, 1, block, columns, sums + (row * step), step,
                    Math.Min(MicroKernel<V>.Rows, count - row), length, add: at > 0);
            }
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void Add<V>(float* sums, nint step, float* bias, int count)
        where V : unmanaged, IFloatVector<V>
    {
        var (left, right) = (V.Load(bias), V.Load(bias + V.Count));
        for (var row = 0; row < count; row++, sums += step)
        {
            (V.Load(sums) + left).Store(sums);
            (V.Load(sums + V.Count) + right).Store(sums + V.Count);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void GeluTanh<V>(float* sums, nint step, float* bias, int count)
        where V : unmanaged, IFloatVector<V>
    {
        var (left, right) = (V.Load(bias), V.Load(bias + V.Count));
        for (var row = 0; row < count; row++, sums += step)
        {
            VectorMath<V>.GeluTanh(V.Load(sums) + left).Store(sums);
            VectorMath<V>.GeluTanh(V.Load(sums + V.Count) + right).Store(sums + V.Count);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void Gate<V>(float* sums, nint step, float* bias, float* gates, float* gateBias, int count)
        where V : unmanaged, IFloatVector<V>
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
