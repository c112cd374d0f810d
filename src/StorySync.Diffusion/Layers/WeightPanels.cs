using StorySync.Attention.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Weights of linear layers in the order that <see cref="LinearKernel"/> reads them: as many outputs as it computes at once side
/// by side, zeros where the last panel has fewer.</summary>
internal static class WeightPanels
{
    /// <summary>A layer's weights in panels, (panels, in, columns); null if the kernel does not compute with this input and weight. They have the
    /// type that the weights are stored in: half the memory for float16 and bfloat16, with the same result to the last bit.</summary>
    /// <param name="input">What the layer is called with.</param>
    /// <param name="weight">The layer's weight, (out, in) or that of a convolution over single places, (out, in, 1, 1).</param>
    /// <param name="parts">Into how many parts the outputs are cut, each with panels of its own.</param>
    public static Tensor[]? Of(Tensor input, Parameter weight, int parts = 1)
    {
        return LinearKernel.Takes(input)
            ? DerivedWeights.Of(weight, values => [.. Finite(values).flatten(1).chunk(parts, dim: 0).Select(Cut)], Join)
            : null;

        Tensor Join(Tensor[] panels)
        {
            var shape = weight.shape;
            return cat([.. panels.Select(part => part.transpose(1, 2).flatten(0, 1).narrow(0, 0, shape[0] / parts))]).view(shape);
        }
    }

    /// <summary>Weights as <see cref="StoredNumbers{T}"/> can read them: converted if one is an infinite float16 number.</summary>
    public static Tensor Finite(Tensor weight) =>
        weight.dtype == ScalarType.Float16 && !weight.isfinite().all().item<bool>() ? weight.to(ScalarType.Float32) : weight;

    private static Tensor Cut(Tensor weight)
    {
        var columns = Lanes.Columns;
        var panels = (weight.size(0) + columns - 1) / columns;
        var cut = weight.new_zeros(panels, weight.size(1), columns);
        var whole = weight.size(0) / columns;
        cut.narrow(0, 0, whole).copy_(weight.narrow(0, 0, whole * columns).unflatten(0, [whole, columns]).transpose(1, 2));
        if (whole < panels)
        {
            var rest = weight.size(0) - (whole * columns);
            cut[^1].narrow(1, 0, rest).copy_(weight.narrow(0, whole * columns, rest).t());
        }

        return cut;
    }
}
