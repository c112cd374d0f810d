namespace StorySync.Diffusion.TextEncoders;

/// <summary>Resizing of 8-bit RGB images, to the bit as Pillow 13 does it: the filter is widened when an image shrinks, each pass is
/// rounded to 8 bits, and weights are integers of 22 fractional bits.</summary>
internal sealed class PillowResampler
{
    /// <summary>Keys' cubic with a = −1/2, which CLIP's preprocessing takes.</summary>
    public static readonly PillowResampler Bicubic = new(support: 2, Cubic);

    /// <summary>Lanczos' windowed sinc with three lobes, which diffusers' <c>VaeImageProcessor</c> takes.</summary>
    public static readonly PillowResampler Lanczos = new(support: 3, x => Math.Abs(x) < 3 ? Sinc(x) * Sinc(x / 3) : 0);

    private const int Channels = 3;
    private const int FractionalBits = 22;

    private readonly int support;
    private readonly Func<double, double> filter;

    /// <param name="support">The distance from which on the filter is zero, in pixels.</param>
    /// <param name="filter">The weight of a pixel by its distance.</param>
    private PillowResampler(int support, Func<double, double> filter) => (this.support, this.filter) = (support, filter);

    /// <summary>Resizes an image.</summary>
    /// <param name="pixels">Rows of interleaved pixels.</param>
    /// <param name="height">Their number of rows.</param>
    /// <param name="width">Their number of columns.</param>
    /// <param name="newHeight">Rows of the result.</param>
    /// <param name="newWidth">Columns of the result.</param>
    public byte[] Resize(ReadOnlySpan<byte> pixels, int height, int width, int newHeight, int newWidth)
    {
        // The order shows in the last bit. Pillow before 13 always took columns first.
        var rowsFirst = height - newHeight > Math.Max(2 * (width - newWidth), 0);
        return rowsFirst
            ? ResizeColumns(ResizeRows(pixels, height, width, newHeight), newHeight, width, newWidth)
            : ResizeRows(ResizeColumns(pixels, height, width, newWidth), height, newWidth, newHeight);
    }

    private byte[] ResizeColumns(ReadOnlySpan<byte> pixels, int height, int width, int newWidth)
    {
        var result = new byte[height * newWidth * Channels];
        var taps = Taps(width, newWidth);
        for (var y = 0; y < height; y++)
        {
            var source = pixels.Slice(y * width * Channels, width * Channels);
            var target = result.AsSpan(y * newWidth * Channels, newWidth * Channels);
            for (var i = 0; i < target.Length; i++)
            {
                var (first, weights) = taps[i / Channels];
                target[i] = Weigh(source, (first * Channels) + (i % Channels), Channels, weights);
            }
        }

        return result;
    }

    private byte[] ResizeRows(ReadOnlySpan<byte> pixels, int height, int width, int newHeight)
    {
        var stride = width * Channels;
        var result = new byte[newHeight * stride];
        foreach (var (y, (first, weights)) in Taps(height, newHeight).Index())
        {
            for (var i = 0; i < stride; i++)
            {
                result[(y * stride) + i] = Weigh(pixels, (first * stride) + i, stride, weights);
            }
        }

        return result;
    }

    /// <summary>For each position of the result, the first pixel of the source and the weights from there on.</summary>
    private (int First, int[] Weights)[] Taps(int size, int newSize)
    {
        var scale = (double)size / newSize;
        var stretch = Math.Max(scale, 1);
        var reach = support * stretch;
        var taps = new (int, int[])[newSize];
        for (var place = 0; place < newSize; place++)
        {
            var center = (place + 0.5) * scale;
            var first = Math.Max((int)(center - reach + 0.5), 0);
            var end = Math.Min((int)(center + reach + 0.5), size);
            var weights = Enumerable.Range(first, end - first).Select(i => filter((i - center + 0.5) / stretch)).ToArray();
            var sum = weights.Sum();
            taps[place] =
                (first, [.. weights.Select(w => (int)Math.Round(w / sum * (1 << FractionalBits), MidpointRounding.AwayFromZero))]);
        }

        return taps;
    }

    private static double Cubic(double x) => Math.Abs(x) switch
    {
        < 1 and var d => (((1.5 * d) - 2.5) * d * d) + 1,
        < 2 and var d => -0.5 * ((((d - 5) * d) + 8) * d - 4),
        _ => 0,
    };

    private static double Sinc(double x) => x == 0 ? 1 : Math.Sin(x * Math.PI) / (x * Math.PI);

    private static byte Weigh(ReadOnlySpan<byte> pixels, int start, int step, int[] weights)
    {
        var sum = 1 << (FractionalBits - 1);
        foreach (var weight in weights)
        {
            sum += pixels[start] * weight;
            start += step;
        }

        return (byte)Math.Clamp(sum >> FractionalBits, byte.MinValue, byte.MaxValue);
    }
}
