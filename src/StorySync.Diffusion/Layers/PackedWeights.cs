using System.Runtime.InteropServices;
using StorySync.Attention.Kernels;
using StorySync.Diffusion.Weights;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Weights in the order that <see cref="OneDnn"/> computes in.</summary>
internal static unsafe class PackedWeights
{
    /// <summary>Whether oneDNN computes with this input and weight. If so, the weight is packed from then on: laid out in the order that
    /// oneDNN computes in, in place of what it was. With other weights every call sorts them first, which for small inputs takes
    /// longer than the product. No other operator can read packed weights; <see cref="Unpack"/> gives the usual order back.</summary>
    /// <param name="input">What the layer is called with.</param>
    /// <param name="weight">The layer's weight. Several runs may meet here: none sees the order that the first replaces.</param>
    /// <param name="pack">Packs it.</param>
    public static bool Takes(Tensor input, Parameter weight, Func<Tensor, Tensor> pack)
    {
        if (!OneDnn.Takes(input))
        {
            return false;
        }

        lock (weight)
        {
            if (!TensorMemory.IsFloat32OnHost(weight))
            {
                return false;
            }

            if (!IsPacked(weight))
            {
                var packed = pack(weight).DetachFromDisposeScope();
                MappedPages.Release(weight);
                Parameters.Replace(weight, packed);
            }

            return true;
        }
    }

    /// <summary>The two halves of a linear layer's weights, each packed by itself; null if oneDNN does not compute with this input and
    /// weight. They stand in for the weight from then on, which is left as a shape without values.</summary>
    /// <param name="input">What the layer is called with.</param>
    /// <param name="weight">The layer's weight.</param>
    public static Tensor[]? HalvesOf(Tensor input, Parameter weight)
    {
        if (!OneDnn.Takes(input))
        {
            return null;
        }

        lock (weight)
        {
            return DerivedWeights.Find(weight) ?? (TensorMemory.IsFloat32OnHost(weight) ? Halve(weight) : null);
        }

        static Tensor[] Halve(Parameter weight)
        {
            using var whole = weight.alias();
            MappedPages.Mark(whole, like: weight);
            Parameters.Replace(weight, empty(weight.shape, device: META).DetachFromDisposeScope());
            var halves = DerivedWeights.Of(weight, () => [.. whole.chunk(2, dim: 0).Select(Linear)]);
            MappedPages.Release(whole);
            return halves;
        }
    }

    /// <summary>A linear layer's weights, packed.</summary>
    public static Tensor Linear(Tensor weight)
    {
        // The arguments: weight, no batch size.
        var stack = stackalloc nint[] { Handle(weight), 0 };
        return Pack("mkldnn::_reorder_linear_weight"u8, stack, weight);
    }

    /// <summary>A convolution's weights, packed as is best for inputs of a size; others are computed too, but sort the weights first.</summary>
    public static Tensor Convolution(Tensor weight, long[] stride, long[] padding, long[] inputSize)
    {
        // The arguments: weight, padding, stride, dilation, groups, input size.
        var stack = stackalloc nint[] { Handle(weight), List(padding), List(stride), List([1, 1]), 1, Some(List(inputSize)) };
        return Pack("mkldnn::_reorder_convolution_weight"u8, stack, weight);
    }

    /// <summary>A transposed convolution's weights, (in, out, height, width), packed likewise. They cannot be unpacked.</summary>
    public static Tensor TransposedConvolution(Tensor weight, long[] stride, long[] padding, long[] inputSize)
    {
        // The arguments: weight, padding, output padding, stride, dilation, groups, input size.
        var stack = stackalloc nint[] { Handle(weight), List(padding), List([0, 0]), List(stride), List([1, 1]), 1, Some(List(inputSize)) };
        return Pack("mkldnn::_reorder_convolution_transpose_weight"u8, stack, weight);
    }

    /// <summary>Gives a parameter the order back that every operator reads.</summary>
    public static void Unpack(Parameter parameter)
    {
        if (parameter.device_type == DeviceType.META && DerivedWeights.Find(parameter) is { } halves)
        {
            using var scope = NewDisposeScope();
            Parameters.Replace(parameter, cat([.. halves.Select(half => half.to_dense())]).DetachFromDisposeScope());
        }
        else if (IsPacked(parameter))
        {
            Parameters.Replace(parameter, parameter.to_dense().DetachFromDisposeScope());
        }
    }

    private static bool IsPacked(Tensor weight)
    {
        var layout = -1;
        return OneDnn.Library is { } library && library.Layout(weight.Handle, &layout) == 0 && layout == library.PackedLayout;
    }

    /// <summary>Calls an operator; it takes over the arguments and leaves its result in place of the first.</summary>
    private static Tensor Pack(ReadOnlySpan<byte> name, nint* stack, Tensor weight)
    {
        fixed (byte* operation = name, overload = "\0"u8)
        {
            var error = OneDnn.Library!.CallDispatcher(operation, overload, stack);
            return OneDnn.Result(error, stack[0], weight, weight, null);
        }
    }

    private static nint Handle(Tensor tensor)
    {
        nint handle = 0;
        OneDnn.Library!.NewHandle(tensor.Handle, &handle);
        return handle;
    }

    private static nint List(long[] values)
    {
        nint list = 0;
        OneDnn.Library!.NewList((nuint)values.Length, &list);
        foreach (var value in values)
        {
            OneDnn.Library!.PushBack(list, (nint)value);
        }

        return list;
    }

    /// <summary>An argument that may be left out, and is not: the operator frees the place that it is passed in.</summary>
    private static nint Some(nint value)
    {
        var place = (nint*)NativeMemory.Alloc((nuint)sizeof(nint));
        *place = value;
        return (nint)place;
    }
}
