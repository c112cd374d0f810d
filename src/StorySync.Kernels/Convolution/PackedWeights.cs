using System.Runtime.InteropServices;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Weights of convolutions in the order that <see cref="OneDnn"/> computes in.</summary>
internal static unsafe class PackedWeights
{
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
