using System.Numerics;
using System.Runtime.CompilerServices;
using StorySync.Attention.Kernels;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>A 3×3 convolution by minimal filtering, F(2×2, 3×3) (Lavin and Gray, arXiv 1509.09308): four ninths of the multiplications. For
/// float32 on the CPU.</summary>
/// <remarks>
/// The picture is cut into tiles of 2×2 places. A tile and what surrounds it, 4×4 places, are transformed to 16 numbers per channel; each of
/// the 16 is a matrix product with the weights' form; 2×2 results come back from the 16. Tiles are worked on some dozens at a time, so that
/// all of it stays in the cache. A place's result depends neither on the batch nor on the number of threads.
/// </remarks>
internal static unsafe class WinogradConvolution
{
    // In narrower layers the transformations take longer than what they save.
    private const int FewestChannels = 32;

    // Larger forms come from memory, not from the cache, in every pass; and a form takes memory beside the weights.
    private const long LargestForm = 32 << 20;

    private const int Numbers = 16;

    /// <summary>Whether a convolution is computed like this, where input and weights allow it.</summary>
    public static bool Suits(long inChannels, long outChannels, long kernel, long stride, long padding) =>
        Vector.IsHardwareAccelerated && kernel == 3 && stride == 1 && padding == 1
        && inChannels >= FewestChannels && inChannels % Vector<float>.Count == 0 && outChannels % MatrixKernel.Columns == 0
        && inChannels * outChannels * Numbers * sizeof(float) <= LargestForm;

    /// <summary>The form of a convolution's weights: (16, out / columns, in, columns).</summary>
    /// <param name="weight">(out, in, 3, 3); stays as it is.</param>
    public static Tensor Form(Parameter weight) => DerivedWeights.Of(weight, () =>
    {
        var transform = tensor(new float[,] { { 1, 0, 0 }, { 0.5f, 0.5f, 0.5f }, { 0.5f, -0.5f, 0.5f }, { 0, 0, 1 } });
        var form = transform.matmul(weight).matmul(transform.t()).flatten(2);
        return [form.unflatten(0, [-1, MatrixKernel.Columns]).permute(3, 0, 2, 1).contiguous()];
    })[0];

    /// <summary>Convolves.</summary>
    /// <param name="input">(batch, in, height, width); is copied where its channels are not last.</param>
    /// <param name="form">From <see cref="Form"/>.</param>
    /// <param name="bias">(out); null for none.</param>
    /// <returns>(batch, out, height, width), the channels last.</returns>
    /// <exception cref="ArgumentException">The input does not have the channels of the weights.</exception>
    public static Tensor Apply(Tensor input, Tensor form, Tensor? bias)
    {
        var outChannels = (int)(form.shape[1] * form.shape[3]);
        if (input.dim() != 4 || input.shape[1] != form.shape[2])
        {
            throw new ArgumentException(
                $"A layer with weights ({outChannels}, {form.shape[2]}, 3, 3) cannot take an input ({string.Join(", ", input.shape)}).", nameof(input));
        }

        using var scope = NewDisposeScope();
        var rows = input.permute(0, 2, 3, 1).contiguous();
        var output = empty([input.shape[0], input.shape[2], input.shape[3], outChannels]);
        var map = new Map(rows, form, bias, output);
        if (map.Tiles > 0)
        {
            var atOnce = map.Tiles >= 16 * 48 ? 48 : 24;
            ThreadTeam.Run((map.Tiles + atOnce - 1) / atOnce, piece => map.Convolve(piece * atOnce, Math.Min(atOnce, map.Tiles - (piece * atOnce))));
        }

        GC.KeepAlive(rows);
        GC.KeepAlive(form);
        GC.KeepAlive(bias);
        return output.permute(0, 3, 1, 2).MoveToOuterDisposeScope();
    }

    /// <summary>One call's pictures.</summary>
    private sealed class Map(Tensor input, Tensor form, Tensor? bias, Tensor output)
    {
        private readonly float* pixels = TensorMemory.Address(input);
        private readonly float* weights = TensorMemory.Address(form);
        private readonly float* biases = bias is null ? null : TensorMemory.Address(bias);
        private readonly float* results = TensorMemory.Address(output);
        private readonly int height = (int)input.shape[1];
        private readonly int width = (int)input.shape[2];
        private readonly int channels = (int)input.shape[3];
        private readonly int outChannels = (int)output.shape[3];

        public int Tiles { get; } = (int)(input.shape[0] * ((input.shape[1] + 1) / 2) * ((input.shape[2] + 1) / 2));

        /// <summary>Computes some tiles, one behind the other in rows and pictures.</summary>
        public void Convolve(int first, int count)
        {
            var columns = MatrixKernel.Columns;
            var zeros = Scratch.Floats(channels + (Numbers * count * (channels + outChannels)));
            var tiles = zeros + channels;
            var products = tiles + (Numbers * count * channels);
            new Span<float>(zeros, channels).Clear();
            for (var tile = 0; tile < count; tile++)
            {
                Transform(first + tile, zeros, tiles + (tile * channels), count * channels);
            }

            var panel = weights;
            for (var number = 0; number < Numbers; number++)
            {
                for (var column = 0; column < outChannels; column += columns, panel += channels * columns)
                {
                    for (var row = 0; row < count; row += MatrixKernel.Rows)
                    {
                        MatrixKernel.Multiply(
                            tiles + (((number * count) + row) * channels), channels, 1, panel, columns,
                            products + (((number * count) + row) * outChannels) + column, outChannels,
                            Math.Min(MatrixKernel.Rows, count - row), channels, add: false);
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
    }

    /// <summary><c>Bᵀ d B</c>: the differences and sums of neighbours, down and then to the right.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void TransformChannels(float** from, float* to, nint step, int channels)
    {
        for (var at = 0; at < channels; at += Vector<float>.Count)
        {
            var (a0, a1, a2, a3) = Sums(Vector.Load(from[0] + at), Vector.Load(from[4] + at), Vector.Load(from[8] + at), Vector.Load(from[12] + at));
            var (b0, b1, b2, b3) = Sums(Vector.Load(from[1] + at), Vector.Load(from[5] + at), Vector.Load(from[9] + at), Vector.Load(from[13] + at));
            var (c0, c1, c2, c3) = Sums(Vector.Load(from[2] + at), Vector.Load(from[6] + at), Vector.Load(from[10] + at), Vector.Load(from[14] + at));
            var (d0, d1, d2, d3) = Sums(Vector.Load(from[3] + at), Vector.Load(from[7] + at), Vector.Load(from[11] + at), Vector.Load(from[15] + at));
            Store(a0, b0, c0, d0, to + at, step);
            Store(a1, b1, c1, d1, to + at + (4 * step), step);
            Store(a2, b2, c2, d2, to + at + (8 * step), step);
            Store(a3, b3, c3, d3, to + at + (12 * step), step);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector<float>, Vector<float>, Vector<float>, Vector<float>) Sums(Vector<float> a, Vector<float> b, Vector<float> c, Vector<float> d) =>
        (a - c, b + c, c - b, b - d);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector<float> a, Vector<float> b, Vector<float> c, Vector<float> d, float* to, nint step)
    {
        (a - c).Store(to);
        (b + c).Store(to + step);
        (c - b).Store(to + (2 * step));
        (b - d).Store(to + (3 * step));
    }

    /// <summary><c>Aᵀ m A</c>, and the bias. Places outside the picture have no address.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void TransformChannelsBack(float* from, nint step, float* bias, float** to, int channels)
    {
        for (var at = 0; at < channels; at += Vector<float>.Count)
        {
            var number = from + at;
            var (a0, a1) = Pair(number, 4 * step);
            var (b0, b1) = Pair(number + step, 4 * step);
            var (c0, c1) = Pair(number + (2 * step), 4 * step);
            var (d0, d1) = Pair(number + (3 * step), 4 * step);
            var more = bias == null ? Vector<float>.Zero : Vector.Load(bias + at);
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
    private static (Vector<float>, Vector<float>) Pair(float* from, nint step)
    {
        var (a, b, c, d) = (Vector.Load(from), Vector.Load(from + step), Vector.Load(from + (2 * step)), Vector.Load(from + (3 * step)));
        return (a + b + c, b - c - d);
    }
}
