using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>A group norm, what is added before it and the SiLU behind it, in one pass over a feature map and one more for its mean and
/// variance. For float32 on the CPU with the channels last.</summary>
/// <remarks>Sums are taken of differences from the first place of the picture, in blocks, and put together in float64: they are exact also
/// where the mean is large beside the deviation, and the same for any number of threads.</remarks>
internal static class GroupNormKernel
{
    /// <summary>Whether <see cref="Apply"/> takes this input.</summary>
    public static bool Supports(Tensor input) =>
        Simd.IsSupported && TensorMemory.CanRead(input) && input.dim() == 4 && input.numel() > 0
        && input.size(1) % VectorNative.Count == 0
        && input.stride(1) == 1 && (input.size(3) == 1 || input.stride(3) == input.size(1))
        && (input.size(2) == 1 || input.stride(2) == input.size(1) * input.size(3));

    /// <summary>Normalises.</summary>
    /// <param name="input">(batch, channels, height, width), the channels last.</param>
    /// <param name="groups">Groups that the channels form.</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="weight">(channels) or (batch, channels); null for ones.</param>
    /// <param name="bias">(channels) or (batch, channels); null for zeros.</param>
    /// <param name="shift">Added to the input before, (batch, channels); null for none.</param>
    /// <param name="silu">Whether a SiLU follows.</param>
    /// <returns>A tensor like the input.</returns>
    public static Tensor Apply(Tensor input, long groups, double epsilon, Tensor? weight, Tensor? bias, Tensor? shift, bool silu) =>
        Simd.Use512 && input.size(1) % Vector512Float.Count == 0
        ? GroupNormKernel<Vector512Float>.Apply(input, groups, epsilon, weight, bias, shift, silu)
        : GroupNormKernel<VectorNative>.Apply(input, groups, epsilon, weight, bias, shift, silu);
}

/// <summary><see cref="GroupNormKernel"/> with certain lanes.</summary>
internal static unsafe class GroupNormKernel<V>
    where V : unmanaged, IFloatVector<V>
{
    private const int BlockSize = 1 << 15;

    // Longer sums lose digits.
    private const int MostPlaces = 512;

    public static Tensor Apply(Tensor input, long groups, double epsilon, Tensor? weight, Tensor? bias, Tensor? shift, bool silu)
    {
        var (batch, channels, places) = ((int)input.size(0), (int)input.size(1), (int)(input.size(2) * input.size(3)));
        using var rows = empty([batch, input.size(2), input.size(3), channels]);
        var output = rows.permute(0, 3, 1, 2);
        var (from, to, picture) = ((nint)TensorMemory.Address(input), (nint)TensorMemory.Address(output), (nint)input.stride(0));
        var (w, b, s) = (new PerChannel(weight), new PerChannel(bias), new PerChannel(shift));
        var size = Math.Clamp(BlockSize / channels, 1, MostPlaces);
        var blocks = (places + size - 1) / size;
        var sums = new float[batch * blocks * 2 * channels];
        var factors = new float[batch * 2 * channels];

        ThreadTeam.Run(batch * blocks, piece =>
        {
            var (image, first) = (piece / blocks, piece % blocks * size);
            fixed (float* sum = &sums[piece * 2 * channels])
            {
                var start = (float*)from + (image * picture);
                Sum(start + ((nint)first * channels), start, sum, channels, Math.Min(size, places - first));
            }
        });
        ThreadTeam.Run(batch, image =>
        {
            fixed (float* sum = &sums[image * blocks * 2 * channels], factor = &factors[image * 2 * channels])
            {
                Factors((float*)from + (image * picture), sum, blocks, places, w.At(image), b.At(image), s.At(image),
                    factor, channels, channels / (int)groups, epsilon);
            }
        });
        ThreadTeam.Run(batch * blocks, piece =>
        {
            var (image, first) = (piece / blocks, piece % blocks * size);
            fixed (float* factor = &factors[image * 2 * channels])
            {
                var (at, count) = ((nint)first * channels, Math.Min(size, places - first));
                Normalize((float*)from + (image * picture) + at, factor, (float*)to + ((nint)image * places * channels) + at, channels, count, silu);
            }
        });
        GC.KeepAlive(input);
        GC.KeepAlive(weight);
        GC.KeepAlive(bias);
        GC.KeepAlive(shift);
        return output;
    }

    /// <summary>Per channel the sum of the differences from the first place, then of their squares.</summary>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void Sum(float* input, float* first, float* sums, int channels, int places)
    {
        for (var channel = 0; channel < channels; channel += V.Count)
        {
            var (pivot, sum, squares) = (V.Load(first + channel), V.Create(0), V.Create(0));
            var place = input + channel;
            for (var i = 0; i < places; i++)
            {
                var difference = V.Load(place) - pivot;
                sum += difference;
                squares = V.FusedMultiplyAdd(difference, difference, squares);
                place += channels;
            }

            sum.Store(sums + channel);
            squares.Store(sums + channels + channel);
        }
    }

    /// <summary>Per channel what the input is multiplied by, then what is added.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Factors(
        float* first, float* sums, int blocks, int places, Values weight, Values bias, Values shift, float* factors, int channels, int ofGroup, double epsilon)
    {
        var means = new double[ofGroup];
        var squares = new double[ofGroup];
        for (var start = 0; start < channels; start += ofGroup)
        {
            var mean = 0.0;
            for (var i = 0; i < ofGroup; i++)
            {
                var (sum, square) = (0.0, 0.0);
                for (var block = 0; block < blocks; block++)
                {
                    var place = sums + ((nint)block * 2 * channels) + start + i;
                    sum += place[0];
                    square += place[channels];
                }

                means[i] = first[start + i] + (sum / places) + shift.At(start + i, 0);
                squares[i] = (square - (sum * sum / places)) / places;
                mean += means[i] / ofGroup;
            }

            var variance = 0.0;
            for (var i = 0; i < ofGroup; i++)
            {
                variance += (squares[i] + ((means[i] - mean) * (means[i] - mean))) / ofGroup;
            }

            for (var channel = start; channel < start + ofGroup; channel++)
            {
                var factor = weight.At(channel, 1) / Math.Sqrt(Math.Max(variance, 0) + epsilon);
                factors[channel] = (float)factor;
                factors[channels + channel] = (float)(bias.At(channel, 0) + ((shift.At(channel, 0) - mean) * factor));
            }
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void Normalize(float* input, float* factors, float* output, int channels, int places, bool silu)
    {
        for (var place = 0; place < places; place++)
        {
            for (var channel = 0; channel < channels; channel += V.Count)
            {
                var value = V.FusedMultiplyAdd(V.Load(input + channel), V.Load(factors + channel), V.Load(factors + channels + channel));
                (silu ? VectorMath<V>.Silu(value) : value).Store(output + channel);
            }

            input += channels;
            output += channels;
        }
    }

    /// <summary>Numbers per channel, the same for all images or each its own; or none.</summary>
    private readonly struct PerChannel(Tensor? tensor)
    {
        private readonly nint start = tensor is null ? 0 : (nint)TensorMemory.Address(tensor);
        private readonly nint image = tensor?.dim() == 2 ? (nint)tensor.stride(0) : 0;
        private readonly nint channel = tensor is null ? 0 : (nint)tensor.stride(-1);

        public Values At(int image) => new(start == 0 ? 0 : (nint)((float*)start + (image * this.image)), channel);
    }

    private readonly record struct Values(nint Start, nint Step)
    {
        public double At(int channel, double otherwise) => Start == 0 ? otherwise : ((float*)Start)[channel * Step];
    }
}
