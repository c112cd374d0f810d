using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>The weight of a linear layer, or of a pointwise (1×1) convolution, as <see cref="LinearKernel"/> reads it: panels of as many
/// outputs as the micro-kernel computes simultaneously, with zeros where the last panel has fewer: (panels, in, columns), one tensor for
/// each part of the outputs. They have the type in which the weight is stored: half the memory for float16 and bfloat16, with the same
/// result to the last bit.</summary>
/// <param name="Parts">The number of equal parts of the outputs, each packed separately.</param>
internal sealed record PackedMatrix(int Parts) : IWeightFormat
{
    public bool IsReversible => true;

    public Tensor[] Pack(Tensor weight, long[] inputShape) =>
        [.. EnsureFiniteHalf(weight).flatten(1).chunk(Parts, dim: 0).Select(Pack)];

    public Tensor Unpack(Tensor[] packed, long[] shape) =>
        cat([.. packed.Select(part => part.transpose(1, 2).flatten(0, 1).narrow(0, 0, shape[0] / Parts))]).view(shape);

    /// <summary>Converts a float16 weight with infinite values, which kernels do not read, to float32; returns any other
    /// unchanged.</summary>
    public static Tensor EnsureFiniteHalf(Tensor weight) =>
        weight.dtype == ScalarType.Float16 && !weight.isfinite().all().item<bool>() ? weight.to(ScalarType.Float32) : weight;

    /// <summary>Packs rows into panels: (out, in) → (panels, in, columns).</summary>
    public static unsafe Tensor Pack(Tensor weight)
    {
        if (weight.dim() != 2 || !HalfLoad<VectorNative>.Supports(weight.dtype) || weight.device_type != TorchSharp.DeviceType.CPU)
        {
            throw ShapeMismatch.Of("Panels", ("weight", weight));
        }

        var columns = Simd.PanelColumns;
        var (rows, inner, size) = (checked((int)weight.size(0)), checked((int)weight.size(1)), (int)weight.ElementSize);
        var panels = (rows + columns - 1) / columns;
        var packed = weight.new_empty(panels, inner, columns);
        if (rows % columns > 0)
        {
            using var last = packed[^1];
            last.zero_();
        }

        using var ordered = weight.contiguous();
        var (from, to) = ((nint)TensorMemory.Address(ordered), (nint)TensorMemory.Address(packed));
        ThreadTeam.Run(panels, panel =>
        {
            var (start, end) = (from + ((nint)panel * columns * inner * size), to + ((nint)panel * columns * inner * size));
            var count = Math.Min(columns, rows - (panel * columns));
            if (size == sizeof(float))
            {
                Transpose((float*)start, (float*)end, count, inner, columns);
            }
            else
            {
                Transpose((ushort*)start, (ushort*)end, count, inner, columns);
            }
        });
        return packed;
    }

    /// <summary>Transposes rows, a few elements of each at a time, so that what is written stays in the cache.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static unsafe void Transpose<T>(T* from, T* to, int rows, int inner, int columns)
        where T : unmanaged
    {
        const int AtOnce = 16;
        for (var first = 0; first < inner; first += AtOnce)
        {
            var last = Math.Min(inner, first + AtOnce);
            for (var row = 0; row < rows; row++)
            {
                for (var at = first; at < last; at++)
                {
                    to[((nint)at * columns) + row] = from[((nint)row * inner) + at];
                }
            }
        }
    }
}
