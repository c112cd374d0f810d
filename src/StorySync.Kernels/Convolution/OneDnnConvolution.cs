using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Convolutions by oneDNN with weights in its own order, into which libtorch by itself sorts them in every call.</summary>
/// <remarks>For float32 on the CPU. Where it does not take an input the ordinary operators compute the same. Images are computed one
/// after the other: oneDNN chooses how to sum by the size of the batch, and an image's last bits would depend on it.</remarks>
internal static unsafe class OneDnnConvolution
{
    /// <summary>Gets what computes; null where there is none.</summary>
    public static OneDnnLibrary? Library { get; } = OneDnnLibrary.Load();

    /// <summary>Returns a value indicating whether oneDNN computes with this input.</summary>
    public static bool Supports(Tensor input) =>
        Library is not null && input.dtype == ScalarType.Float32 && input.device_type == DeviceType.CPU;

    /// <summary>Returns a convolution; the channels of the result are last in memory.</summary>
    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="packed">Weights from <see cref="OneDnnFilter"/>.</param>
    /// <param name="bias">(out).</param>
    /// <param name="stride">Down and to the right.</param>
    /// <param name="padding">Above and below, left and right.</param>
    public static Tensor Convolve(Tensor input, Tensor packed, Tensor? bias, long[] stride, long[] padding) =>
        EachImage(input, image => ConvolveOne(image, packed, bias, stride, padding));

    /// <summary>Returns a transposed convolution; the channels of the result are last in memory.</summary>
    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="packed">Weights from <see cref="OneDnnTransposedFilter"/>.</param>
    /// <param name="bias">(out).</param>
    /// <param name="stride">Down and to the right.</param>
    /// <param name="padding">Above and below, left and right.</param>
    public static Tensor ConvolveTransposed(Tensor input, Tensor packed, Tensor? bias, long[] stride, long[] padding) =>
        EachImage(input, image => ConvolveOneTransposed(image, packed, bias, stride, padding));

    private static Tensor EachImage(Tensor input, Func<Tensor, Tensor> convolve)
    {
        var count = input.size(0);
        if (count <= 1)
        {
            return convolve(input);
        }

        using var scope = NewDisposeScope();
        Tensor? results = null;
        for (var image = 0L; image < count; image++)
        {
            using var one = input.narrow(0, image, 1);
            using var result = convolve(one);
            var (channels, height, width) = (result.size(1), result.size(2), result.size(3));
            results ??= empty([count, height, width, channels], ScalarType.Float32).permute(0, 3, 1, 2);
            using var place = results.narrow(0, image, 1);
            place.copy_(result);
        }

        return results!.MoveToOuterDisposeScope();
    }

    private static Tensor ConvolveOne(Tensor input, Tensor packed, Tensor? bias, long[] stride, long[] padding)
    {
        var dilation = stackalloc long[] { 1, 1 };
        fixed (long* strides = stride, paddings = padding)
        fixed (byte* none = "none"u8)
        {
            nint result = 0, b = bias?.Handle ?? 0;
            var algorithm = none;
            var error = Library!.Convolution(
                input.Handle, packed.Handle, b == 0 ? null : &b, paddings, 2, strides, 2, dilation, 2, 1, none, null, 0, &algorithm,
                &result);
            return Result(error, result, input, packed, bias);
        }
    }

    private static Tensor ConvolveOneTransposed(Tensor input, Tensor packed, Tensor? bias, long[] stride, long[] padding)
    {
        var dilation = stackalloc long[] { 1, 1 };
        var outputPadding = stackalloc long[] { 0, 0 };
        fixed (long* strides = stride, paddings = padding)
        fixed (byte* none = "none"u8)
        {
            nint result = 0, b = bias?.Handle ?? 0;
            var algorithm = none;
            var error = Library!.TransposedConvolution(
                input.Handle, packed.Handle, b == 0 ? null : &b, paddings, 2, outputPadding, 2, strides, 2, dilation, 2, 1, none,
                null, 0, &algorithm, &result);
            return Result(error, result, input, packed, bias);
        }
    }

    /// <summary>Returns what a call gave.</summary>
    /// <param name="error">Other than 0 where it failed.</param>
    /// <param name="result">The result's handle.</param>
    /// <param name="input">Named in the message where it failed.</param>
    /// <param name="weight">Named with it.</param>
    /// <param name="bias">Kept alive until here; null if there is none.</param>
    /// <exception cref="ArgumentException">The call failed.</exception>
    public static Tensor Result(int error, nint result, Tensor input, Tensor weight, Tensor? bias)
    {
        GC.KeepAlive(bias);
        return error == 0 ? Tensor.UnsafeCreateTensor(result) : throw ShapeMismatch.OfLayer(weight.shape, input);
    }
}
