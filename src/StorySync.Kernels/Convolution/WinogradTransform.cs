using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>One call of <see cref="WinogradConvolution"/>.</summary>
/// <param name="input">(batch, height, width, in), contiguous.</param>
/// <param name="taps">The weights.</param>
/// <param name="bias">(out); null for none.</param>
/// <param name="output">(batch, height, width, out), to be filled.</param>
internal sealed unsafe class WinogradMap<V>(Tensor input, Tensor taps, Tensor? bias, Tensor output)
    where V : unmanaged, IFloatVector<V>
{
    private const int Numbers = WinogradConvolution.Numbers;

    private readonly float* pixels = TensorMemory.Address(input);
    private readonly float* weights = WinogradForm<V>.Make(taps);
    private readonly float* biases = bias is null ? null : TensorMemory.Address(bias);
    private readonly float* results = TensorMemory.Address(output);
    private readonly int height = (int)input.size(1);
    private readonly int width = (int)input.size(2);
    private readonly int channels = (int)input.size(3);
    private readonly int outChannels = (int)output.size(3);

    private readonly int tiles = (int)(input.size(0) * ((input.size(1) + 1) / 2) * ((input.size(2) + 1) / 2));

    /// <summary>Computes the whole output.</summary>
    public void Convolve()
    {
        if (tiles > 0)
        {
            var atOnce = tiles >= 16 * 48 ? 48 : 24;
            ThreadTeam.Run((tiles + atOnce - 1) / atOnce, piece => Convolve(piece * atOnce, Math.Min(atOnce, tiles - (piece * atOnce))));
        }
    }

    /// <summary>Computes some tiles, one behind the other in rows and pictures.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Convolve(int first, int count)
    {
        var columns = MicroKernel<V>.Columns;
        var zeros = Scratch.Floats(channels + (Numbers * count * (channels + outChannels)));
        var numbers = zeros + channels;
        var products = numbers + (Numbers * count * channels);
        new Span<float>(zeros, channels).Clear();
        for (var tile = 0; tile < count; tile++)
        {
            Transform(first + tile, zeros, numbers + (tile * channels), count * channels);
        }

        var panel = weights;
        for (var number = 0; number < Numbers; number++)
        {
            for (var column = 0; column < outChannels; column += columns, panel += channels * columns)
            {
                for (var row = 0; row < count; row += MicroKernel<V>.Rows)
                {
                    MicroKernel<V>.Multiply(
                        numbers + (((number * count) + row) * channels), channels, 1, panel, columns,
                        products + (((number * count) + row) * outChannels) + column, outChannels,
                        Math.Min(MicroKernel<V>.Rows, count - row), channels, add: false);
                }
            }
        }

        for (var tile = 0; tile < count; tile++)
        {
            TransformBack(first + tile, products + (tile * outChannels), count * outChannels);
        }
    }

    private (int Image, int Top, int Left) Place(int tile)
    {
        var (across, down) = ((width + 1) / 2, (height + 1) / 2);
        return (tile / across / down, tile / across % down * 2, tile % across * 2);
    }

    private float* Pixel(float* map, int image, int row, int column, int ofPixel) =>
        map + (((((nint)image * height) + row) * width) + column) * ofPixel;

    /// <summary>A tile's 16 numbers, <paramref name="step"/> apart.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Transform(int tile, float* zeros, float* to, nint step)
    {
        var (image, top, left) = Place(tile);
        var from = stackalloc float*[Numbers];
        for (var i = 0; i < Numbers; i++)
        {
            var (row, column) = (top - 1 + (i / 4), left - 1 + (i % 4));
            from[i] = row >= 0 && row < height && column >= 0 && column < width ? Pixel(pixels, image, row, column, channels) : zeros;
        }

        TransformChannels(from, to, step, channels);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void TransformBack(int tile, float* from, nint step)
    {
        var (image, top, left) = Place(tile);
        var to = stackalloc float*[4];
        for (var i = 0; i < 4; i++)
        {
            var (row, column) = (top + (i / 2), left + (i % 2));
            to[i] = row < height && column < width ? Pixel(results, image, row, column, outChannels) : null;
        }

        TransformChannelsBack(from, step, biases, to, outChannels);
    }

    /// <summary><c>Bᵀ d B</c>: the differences and sums of neighbours, down and then to the right.</summary>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void TransformChannels(float** from, float* to, nint step, int channels)
    {
        for (var at = 0; at < channels; at += V.Count)
        {
            var (a0, a1, a2, a3) = Sums(V.Load(from[0] + at), V.Load(from[4] + at), V.Load(from[8] + at), V.Load(from[12] + at));
            var (b0, b1, b2, b3) = Sums(V.Load(from[1] + at), V.Load(from[5] + at), V.Load(from[9] + at), V.Load(from[13] + at));
            var (c0, c1, c2, c3) = Sums(V.Load(from[2] + at), V.Load(from[6] + at), V.Load(from[10] + at), V.Load(from[14] + at));
            var (d0, d1, d2, d3) = Sums(V.Load(from[3] + at), V.Load(from[7] + at), V.Load(from[11] + at), V.Load(from[15] + at));
            Store(a0, b0, c0, d0, to + at, step);
            Store(a1, b1, c1, d1, to + at + (4 * step), step);
            Store(a2, b2, c2, d2, to + at + (8 * step), step);
            Store(a3, b3, c3, d3, to + at + (12 * step), step);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (V, V, V, V) Sums(V a, V b, V c, V d) =>
        (a - c, b + c, c - b, b - d);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(V a, V b, V c, V d, float* to, nint step)
    {
        (a - c).Store(to);
        (b + c).Store(to + step);
        (c - b).Store(to + (2 * step));
        (b - d).Store(to + (3 * step));
    }

    /// <summary><c>Aᵀ m A</c>, and the bias. Places outside the picture have no address.</summary>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void TransformChannelsBack(float* from, nint step, float* bias, float** to, int channels)
    {
        for (var at = 0; at < channels; at += V.Count)
        {
            var number = from + at;
            var (a0, a1) = Pair(number, 4 * step);
            var (b0, b1) = Pair(number + step, 4 * step);
            var (c0, c1) = Pair(number + (2 * step), 4 * step);
            var (d0, d1) = Pair(number + (3 * step), 4 * step);
            var more = bias == null ? V.Create(0) : V.Load(bias + at);
            (a0 + b0 + c0 + more).Store(to[0] + at);
            if (to[1] != null)
            {
                (b0 - c0 - d0 + more).Store(to[1] + at);
            }

            if (to[2] != null)
            {
                (a1 + b1 + c1 + more).Store(to[2] + at);
            }

            if (to[3] != null)
            {
                (b1 - c1 - d1 + more).Store(to[3] + at);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (V, V) Pair(float* from, nint step)
    {
        var (a, b, c, d) = (V.Load(from), V.Load(from + step), V.Load(from + (2 * step)), V.Load(from + (3 * step)));
        return (a + b + c, b - c - d);
    }
}
