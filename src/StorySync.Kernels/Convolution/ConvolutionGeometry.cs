using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>The sizes of a convolution, and the algorithm that they suggest for float32 on the CPU.</summary>
internal sealed class ConvolutionGeometry
{
    public ConvolutionGeometry(long inChannels, long outChannels, long kernel, long stride, long padding)
    {
        (InChannels, OutChannels, Kernel) = (inChannels, outChannels, kernel);
        Stride = [stride, stride];
        Padding = [padding, padding];
        var isPointwise = kernel == 1 && stride == 1 && padding == 0;
        (Algorithm, Format) =
            WinogradConvolution.Supports(inChannels, outChannels, kernel, stride, padding)
                ? (ConvolutionAlgorithm.Winograd, WinogradFilter.Instance)
            : isPointwise && Simd.IsSupported ? (ConvolutionAlgorithm.Pointwise, new PackedMatrix(Parts: 1))
            : (ConvolutionAlgorithm.OneDnn, (IWeightFormat)new OneDnnFilter(Stride, Padding));
    }

    public long InChannels { get; }

    public long OutChannels { get; }

    public long Kernel { get; }

    public long[] Stride { get; }

    public long[] Padding { get; }

    /// <summary>Gets the algorithm for inputs that <see cref="Supports"/> accepts; others are left to libtorch.</summary>
    public ConvolutionAlgorithm Algorithm { get; }

    /// <summary>Gets the format of the weight for <see cref="Algorithm"/>.</summary>
    public IWeightFormat Format { get; }

    /// <summary>Gets a value indicating whether the weight stays in half precision where it is stored so.</summary>
    public bool ReadsHalves => Algorithm != ConvolutionAlgorithm.OneDnn;

    /// <summary>Fails unless an input has the channels of the weight and is as large as the kernel.</summary>
    /// <exception cref="ArgumentException">It does not, or is not.</exception>
    public void Check(Tensor input)
    {
        if (input.dim() != 4 || input.size(1) != InChannels
            || input.size(2) + (2 * Padding[0]) < Kernel || input.size(3) + (2 * Padding[1]) < Kernel)
        {
            throw ShapeMismatch.OfLayer([OutChannels, InChannels, Kernel, Kernel], input);
        }
    }

    /// <summary>Returns a value indicating whether <see cref="Algorithm"/> supports an input.</summary>
    public bool Supports(Tensor input) =>
        Algorithm == ConvolutionAlgorithm.OneDnn ? OneDnnConvolution.Supports(input) : LinearKernel.Supports(input);
}
