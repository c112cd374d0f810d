using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>A 3×3 convolution by minimal filtering, F(2×2, 3×3) (Lavin and Gray, arXiv 1509.09308): four ninths of the multiplications. For
/// float32 on the CPU.</summary>
/// <remarks>
/// The image is cut into tiles of 2×2 pixels. A tile and what surrounds it, 4×4 pixels, are transformed to 16 elements per channel; each of
/// the 16 is a matrix product with the transformed filter; 2×2 results come back from the 16. Some dozens of tiles are computed together,
/// so that all of it stays in the cache. A pixel's result depends neither on the batch nor on the number of threads. The transformed
/// filter, 16 ninths of the weight's size, is made in every call: that takes a few hundredths of the time, and kept it would be the
/// largest thing in memory.
/// </remarks>
internal sealed unsafe class WinogradConvolution : Kernel
{
    /// <summary>The elements that a tile is transformed to.</summary>
    public const int TileElements = 16;

    /// <summary>The weights of a pair of channels.</summary>
    public const int Taps = 9;

    // In narrower layers the transforms take longer than what they save.
    private const int FewestChannels = 32;

    // Larger filters come from memory, not from the cache, for every few tiles.
    private const long LargestFilter = 32 << 20;

    private readonly float* pixels;
    private readonly nint filter;
    private readonly ScalarType stored;
    private readonly float* biases;
    private readonly float* results;
    private readonly int height;
    private readonly int width;
    private readonly int channels;
    private readonly int outChannels;
    private readonly int tiles;
    private readonly Tensor output;

    private WinogradConvolution(Tensor input, Tensor taps, Tensor? bias)
    {
        (channels, outChannels) = ((int)input.size(3), checked((int)(taps.size(0) * taps.size(3))));
        if (!LinearKernel.Supports(input) || !input.is_contiguous() || taps.dim() != 4 || !taps.is_contiguous()
            || taps.device_type != TorchSharp.DeviceType.CPU || !HalfLoad<VectorNative>.Supports(taps.dtype)
            || taps.size(2) != Taps || taps.size(3) != Simd.PanelColumns || channels % Simd.Count != 0
            || !TensorMemory.IsVector(bias, outChannels))
        {
            throw ShapeMismatch.Of("A 3×3 convolution", ("input", input), ("weight", taps), ("bias", bias));
        }

        (height, width) = ((int)input.size(1), (int)input.size(2));
        tiles = checked((int)(input.size(0) * ((input.size(1) + 1) / 2) * ((input.size(2) + 1) / 2)));
        output = Allocate(out results, input.size(0), height, width, outChannels);
        pixels = Input(input);
        (filter, stored) = ((nint)Input(taps), taps.dtype);
        biases = Input(bias);
    }

    /// <summary>Returns a value indicating whether a convolution is computed like this, where input and weight allow it.</summary>
    public static bool Supports(long inChannels, long outChannels, long kernel, long stride, long padding) =>
        Simd.IsSupported && kernel == 3 && stride == 1 && padding == 1
        && inChannels >= FewestChannels && inChannels % Simd.Count == 0 && outChannels % Simd.PanelColumns == 0
        && inChannels * outChannels * TileElements * sizeof(float) <= LargestFilter;

    /// <summary>Convolves.</summary>
    /// <param name="input">(batch, in, height, width); is copied where its channels are not last.</param>
    /// <param name="taps">The weight in the format <see cref="WinogradFilter"/>.</param>
    /// <param name="bias">(out); null for none.</param>
    /// <returns>(batch, out, height, width), the channels last.</returns>
    /// <exception cref="ArgumentException">The sizes do not fit together.</exception>
    public static Tensor Apply(Tensor input, Tensor taps, Tensor? bias)
    {
        if (input.dim() != 4 || input.size(1) != taps.size(1))
        {
            throw ShapeMismatch.OfLayer([taps.size(0) * taps.size(3), taps.size(1), 3, 3], input);
        }

        using var scope = NewDisposeScope();
        var kernel = new WinogradConvolution(input.permute(0, 2, 3, 1).contiguous(), taps, bias);
        kernel.Run();
        return kernel.output.permute(0, 3, 1, 2).MoveToOuterDisposeScope();
    }

    protected override void Compute<V>()
    {
        if (tiles == 0)
        {
            return;
        }

        var transformed = (nint)WinogradFilterTransform<V>.Make(filter, stored, outChannels / MicroKernel<V>.Columns * channels);
        var together = tiles >= 16 * 48 ? 48 : 24;
        ThreadTeam.Run(
            (tiles + together - 1) / together,
            piece => Convolve<V>((float*)transformed, piece * together, Math.Min(together, tiles - (piece * together))));
    }

    /// <summary>Computes some tiles, one after the other in rows and images.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Convolve<V>(float* panel, int first, int count)
        where V : unmanaged, IFloatVector<V>
    {
        var columns = MicroKernel<V>.Columns;
        var zeros = Scratch.Floats(channels + (TileElements * count * (channels + outChannels)));
        var elements = zeros + channels;
        var products = elements + (TileElements * count * channels);
        new Span<float>(zeros, channels).Clear();
        for (var tile = 0; tile < count; tile++)
        {
            Transform<V>(first + tile, zeros, elements + (tile * channels), count * channels);
        }

        for (var element = 0; element < TileElements; element++)
        {
            for (var column = 0; column < outChannels; column += columns, panel += channels * columns)
            {
                for (var row = 0; row < count; row += MicroKernel<V>.Rows)
                {
                    MicroKernel<V>.Multiply(
                        elements + (((element * count) + row) * channels), channels, 1, panel, columns,
                        products + (((element * count) + row) * outChannels) + column, outChannels,
                        Math.Min(MicroKernel<V>.Rows, count - row), channels, add: false);
                }
            }
        }

        for (var tile = 0; tile < count; tile++)
        {
            TransformBack<V>(first + tile, products + (tile * outChannels), count * outChannels);
        }
    }

    private (int Image, int Top, int Left) Place(int tile)
    {
        var (across, down) = ((width + 1) / 2, (height + 1) / 2);
        return (tile / across / down, tile / across % down * 2, tile % across * 2);
    }

    private float* Pixel(float* map, int image, int row, int column, int ofPixel) =>
        map + (((((nint)image * height) + row) * width) + column) * ofPixel;

    /// <summary>Transforms a tile to 16 elements, <paramref name="step"/> apart.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Transform<V>(int tile, float* zeros, float* to, nint step)
        where V : unmanaged, IFloatVector<V>
    {
        var (image, top, left) = Place(tile);
        var from = stackalloc float*[TileElements];
        for (var i = 0; i < TileElements; i++)
        {
            var (row, column) = (top - 1 + (i / 4), left - 1 + (i % 4));
            from[i] = row >= 0 && row < height && column >= 0 && column < width ? Pixel(pixels, image, row, column, channels) : zeros;
        }

        WinogradTransform<V>.Forward(from, to, step, channels);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void TransformBack<V>(int tile, float* from, nint step)
        where V : unmanaged, IFloatVector<V>
    {
        var (image, top, left) = Place(tile);
        var to = stackalloc float*[4];
        for (var i = 0; i < 4; i++)
        {
            var (row, column) = (top + (i / 2), left + (i % 2));
            to[i] = row < height && column < width ? Pixel(results, image, row, column, outChannels) : null;
        }

        WinogradTransform<V>.Backward(from, step, biases, to, outChannels);
    }
}
