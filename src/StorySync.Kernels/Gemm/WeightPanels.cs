using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Weights of linear layers in the order that <see cref="LinearKernel"/> reads them: as many outputs as it computes at once side
/// by side, zeros where the last panel has fewer.</summary>
internal static unsafe class WeightPanels
{
    /// <summary>A layer's weights in panels, (panels, in, columns), one tensor for each part of the outputs. They have the type that the
    /// weights are stored in: half the memory for float16 and bfloat16, with the same result to the last bit.</summary>
    /// <param name="weight">(out, in) or that of a convolution over single places, (out, in, 1, 1).</param>
    /// <param name="parts">Into how many parts the outputs are cut, each with panels of its own.</param>
    public static Tensor[] Of(Tensor weight, int parts = 1) => [.. Finite(weight).flatten(1).chunk(parts, dim: 0).Select(Cut)];

    /// <summary>Weights out of their panels.</summary>
    /// <param name="panels">From <see cref="Of"/>.</param>
    /// <param name="shape">The weight's shape.</param>
    public static Tensor Join(Tensor[] panels, long[] shape) =>
        cat([.. panels.Select(part => part.transpose(1, 2).flatten(0, 1).narrow(0, 0, shape[0] / panels.Length))]).view(shape);

    /// <summary>Weights as <see cref="StoredNumbers{T}"/> can read them: converted if one is an infinite float16 number.</summary>
    public static Tensor Finite(Tensor weight) =>
        weight.dtype == ScalarType.Float16 && !weight.isfinite().all().item<bool>() ? weight.to(ScalarType.Float32) : weight;

    /// <summary>Rows of weights in panels: (out, inner) → (panels, inner, columns).</summary>
    public static Tensor Cut(Tensor weight)
    {
        var columns = Lanes.Columns;
        var (rows, inner, size) = ((int)weight.size(0), (int)weight.size(1), (int)weight.ElementSize);
        var panels = (rows + columns - 1) / columns;
        var cut = weight.new_empty(panels, inner, columns);
        if (rows % columns > 0)
        {
            using var last = cut[^1];
            last.zero_();
        }

        using var ordered = weight.contiguous();
        var (from, to) = ((nint)TensorMemory.Address(ordered), (nint)TensorMemory.Address(cut));
        ThreadTeam.Run(panels, panel =>
        {
            var (start, end) = (from + ((nint)panel * columns * inner * size), to + ((nint)panel * columns * inner * size));
            var count = Math.Min(columns, rows - (panel * columns));
            if (size == sizeof(float))
            {
                Turn((float*)start, (float*)end, count, inner, columns);
            }
            else
            {
                Turn((ushort*)start, (ushort*)end, count, inner, columns);
            }
        });
        return cut;
    }

    /// <summary>Puts rows side by side, a few numbers of each at a time, so that what is written stays in the cache.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Turn<T>(T* from, T* to, int rows, int inner, int columns)
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
