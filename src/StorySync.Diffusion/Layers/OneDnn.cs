using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using StorySync.Diffusion.Weights;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Linear layers and convolutions by oneDNN: faster than the matrix library that libtorch takes on the CPU by itself, and able to
/// do what follows a product in the same pass over its result.</summary>
/// <remarks>For float32 on the CPU. Where it does not take an input the ordinary operators compute the same.</remarks>
internal static unsafe class OneDnn
{
    private static readonly OneDnnLibrary? Library = OneDnnLibrary.Load();
    private static readonly ConditionalWeakTable<Parameter, Tensor[]> Halves = [];

    /// <summary>Whether oneDNN computes with this input.</summary>
    public static bool Takes(Tensor input) => Library is not null && input.dtype == ScalarType.Float32 && input.device_type == DeviceType.CPU;

    /// <summary>Whether oneDNN computes with this input and weight. If so, the weight is packed from then on: laid out in the order that
    /// oneDNN computes in, in place of what it was. With other weights every call sorts them first, which for small inputs takes
    /// longer than the product. No other operator can read packed weights; <see cref="Unpack"/> gives the usual order back.</summary>
    /// <param name="input">What the layer is called with.</param>
    /// <param name="weight">The layer's weight. Several runs may meet here: none sees the order that the first replaces.</param>
    /// <param name="pack">Packs it.</param>
    public static bool Takes(Tensor input, Parameter weight, Func<Tensor, Tensor> pack)
    {
        if (!Takes(input))
        {
            return false;
        }

        lock (weight)
        {
            if (weight.dtype != ScalarType.Float32 || weight.device_type != DeviceType.CPU)
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
        if (!Takes(input))
        {
            return null;
        }

        lock (weight)
        {
            if (Halves.TryGetValue(weight, out var made))
            {
                return made;
            }

            if (weight.dtype != ScalarType.Float32 || weight.device_type != DeviceType.CPU)
            {
                return null;
            }

            using var scope = NewDisposeScope();
            Tensor[] halves = [.. weight.chunk(2, dim: 0).Select(half => PackLinear(half).DetachFromDisposeScope())];
            MappedPages.Release(weight);
            Parameters.Replace(weight, empty(weight.shape, device: META).DetachFromDisposeScope());
            Halves.Add(weight, halves);
            return halves;
        }
    }

    /// <summary>Frees the halves that stand in for a parameter, which gets other values or goes.</summary>
    public static void DropHalves(Tensor parameter)
    {
        if (parameter is Parameter weight && Halves.Remove(weight, out var halves))
        {
            Array.ForEach(halves, half => half.Dispose());
        }
    }

    /// <summary><c>x Wᵀ + b</c>, or GELU of it.</summary>
    /// <param name="input">(…, in).</param>
    /// <param name="packed">Weights from <see cref="PackLinear"/>.</param>
    /// <param name="bias">(out).</param>
    /// <param name="gelu">Which GELU follows; null for none.</param>
    public static Tensor Linear(Tensor input, Tensor packed, Tensor? bias, GELU.Approximate? gelu = null)
    {
        ThrowUnless(input.size(-1) == packed.size(1), input, packed);
        fixed (byte* activation = gelu is null ? "none"u8 : "gelu"u8, approximation = gelu == GELU.Approximate.tanh ? "tanh"u8 : "none"u8)
        {
            nint result = 0, b = bias?.Handle ?? 0;
            var algorithm = approximation;
            var error = Library!.Linear(input.Handle, packed.Handle, b == 0 ? null : &b, activation, null, 0, &algorithm, &result);
            return Result(error, result, input, packed, bias);
        }
    }

    /// <summary>A convolution; the result lies channels last.</summary>
    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="packed">Weights from <see cref="PackConvolution"/>.</param>
    /// <param name="bias">(out).</param>
    /// <param name="stride">Down and to the right.</param>
    /// <param name="padding">Above and below, left and right.</param>
    public static Tensor Convolve(Tensor input, Tensor packed, Tensor? bias, long[] stride, long[] padding)
    {
        ThrowUnless(input.dim() == 4 && input.size(1) == packed.size(1), input, packed);
        var dilation = stackalloc long[] { 1, 1 };
        fixed (long* strides = stride, paddings = padding)
        fixed (byte* none = "none"u8)
        {
            nint result = 0, b = bias?.Handle ?? 0;
            var algorithm = none;
            var error = Library!.Convolution(
                input.Handle, packed.Handle, b == 0 ? null : &b, paddings, 2, strides, 2, dilation, 2, 1, none, null, 0, &algorithm, &result);
            return Result(error, result, input, packed, bias);
        }
    }

    /// <summary>A transposed convolution; the result lies channels last.</summary>
    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="packed">Weights from <see cref="PackTransposedConvolution"/>.</param>
    /// <param name="bias">(out).</param>
    /// <param name="stride">Down and to the right.</param>
    /// <param name="padding">Above and below, left and right.</param>
    public static Tensor ConvolveTransposed(Tensor input, Tensor packed, Tensor? bias, long[] stride, long[] padding)
    {
        var dilation = stackalloc long[] { 1, 1 };
        var outputPadding = stackalloc long[] { 0, 0 };
        fixed (long* strides = stride, paddings = padding)
        fixed (byte* none = "none"u8)
        {
            nint result = 0, b = bias?.Handle ?? 0;
            var algorithm = none;
            var error = Library!.TransposedConvolution(
                input.Handle, packed.Handle, b == 0 ? null : &b, paddings, 2, outputPadding, 2, strides, 2, dilation, 2, 1, none, null, 0, &algorithm, &result);
            return Result(error, result, input, packed, bias);
        }
    }

    /// <summary>A linear layer's weights, packed.</summary>
    public static Tensor PackLinear(Tensor weight)
    {
        // The arguments: weight, no batch size.
        var stack = stackalloc nint[] { Handle(weight), 0 };
        return Pack("mkldnn::_reorder_linear_weight"u8, stack, weight);
    }

    /// <summary>A convolution's weights, packed as is best for inputs of a size; others are computed too, but sort the weights first.</summary>
    public static Tensor PackConvolution(Tensor weight, long[] stride, long[] padding, long[] inputSize)
    {
        // The arguments: weight, padding, stride, dilation, groups, input size.
        var stack = stackalloc nint[] { Handle(weight), List(padding), List(stride), List([1, 1]), 1, Some(List(inputSize)) };
        return Pack("mkldnn::_reorder_convolution_weight"u8, stack, weight);
    }

    /// <summary>A transposed convolution's weights, (in, out, height, width), packed likewise. They cannot be unpacked.</summary>
    public static Tensor PackTransposedConvolution(Tensor weight, long[] stride, long[] padding, long[] inputSize)
    {
        // The arguments: weight, padding, output padding, stride, dilation, groups, input size.
        var stack = stackalloc nint[] { Handle(weight), List(padding), List([0, 0]), List(stride), List([1, 1]), 1, Some(List(inputSize)) };
        return Pack("mkldnn::_reorder_convolution_transpose_weight"u8, stack, weight);
    }

    /// <summary>Gives a parameter the order back that every operator reads.</summary>
    public static void Unpack(Parameter parameter)
    {
        if (Halves.TryGetValue(parameter, out var halves))
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
        return Library is not null && Library.Layout(weight.Handle, &layout) == 0 && layout == Library.PackedLayout;
    }

    /// <summary>Calls an operator; it takes over the arguments and leaves its result in place of the first.</summary>
    private static Tensor Pack(ReadOnlySpan<byte> name, nint* stack, Tensor weight)
    {
        fixed (byte* operation = name, overload = "\0"u8)
        {
            var error = Library!.CallDispatcher(operation, overload, stack);
            return Result(error, stack[0], weight, weight, null);
        }
    }

    private static nint Handle(Tensor tensor)
    {
        nint handle = 0;
        Library!.NewHandle(tensor.Handle, &handle);
        return handle;
    }

    private static nint List(long[] values)
    {
        nint list = 0;
        Library!.NewList((nuint)values.Length, &list);
        foreach (var value in values)
        {
            Library.PushBack(list, (nint)value);
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

    private static Tensor Result(int error, nint result, Tensor input, Tensor weight, Tensor? bias)
    {
        GC.KeepAlive(bias);
        ThrowUnless(error == 0, input, weight);
        return Tensor.UnsafeCreateTensor(result);
    }

    private static void ThrowUnless(bool fits, Tensor input, Tensor weight)
    {
        if (!fits)
        {
            throw new ArgumentException(
                $"A layer with weights ({string.Join(", ", weight.shape)}) cannot take an input ({string.Join(", ", input.shape)}).", nameof(input));
        }
    }
}
