using System.Runtime.CompilerServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>A group norm, what is added before it and the SiLU after it, in one pass over a feature map and one more for its mean and
/// variance. For float32 on the CPU with the channels last.</summary>
/// <remarks>Sums are taken of differences from the first pixel of the image, in blocks, and added in float64: they are exact also where the
/// mean is large compared with the deviation, and the same for any number of threads.</remarks>
internal sealed unsafe class GroupNormKernel : Kernel
{
    private const int BlockSize = 1 << 15;

    // Longer sums lose digits.
    private const int MostPixels = 512;

    private readonly int batch;
    private readonly int channels;
    private readonly int pixels;
    private readonly int groups;
    private readonly double epsilon;
    private readonly bool silu;
    private readonly float* from;
    private readonly nint imageStride;
    private readonly float* to;
    private readonly PerChannel weights;
    private readonly PerChannel biases;
    private readonly PerChannel shifts;
    private readonly int size;
    private readonly int blocks;
    private readonly float* sums;
    private readonly float* factors;
    private readonly Tensor[] workspace;
    private readonly Tensor output;

    private GroupNormKernel(Tensor input, long groups, double epsilon, Tensor? weight, Tensor? bias, Tensor? shift, bool silu)
    {
        if (!Supports(input) || groups < 1 || input.size(1) % groups != 0
            || !IsPerChannel(weight) || !IsPerChannel(bias) || !IsPerChannel(shift))
        {
            throw ShapeMismatch.Of($"A norm with {groups} groups", ("input", input), ("weight", weight), ("bias", bias), ("shift", shift));
        }

        (batch, channels, pixels) = ((int)input.size(0), (int)input.size(1), (int)(input.size(2) * input.size(3)));
        (this.groups, this.epsilon, this.silu) = ((int)groups, epsilon, silu);
        from = Input(input);
        imageStride = (nint)input.stride(0);
        (weights, biases, shifts) = (new(weight, Input(weight)), new(bias, Input(bias)), new(shift, Input(shift)));
        size = Math.Clamp(BlockSize / channels, 1, MostPixels);
        blocks = (pixels + size - 1) / size;
        workspace = [Allocate(out sums, (long)batch * blocks, 2, channels), Allocate(out factors, batch, 2, channels)];
        output = Allocate(out to, batch, input.size(2), input.size(3), channels);

        bool IsPerChannel(Tensor? tensor) => tensor is null
            || (TensorMemory.CanRead(tensor) && tensor.dim() is 1 or 2 && tensor.size(-1) == input.size(1)
                && (tensor.dim() == 1 || tensor.size(0) == input.size(0)));
    }

    protected override bool Allows512 => channels % Vector512Float.Count == 0;

    /// <summary>Returns a value indicating whether <see cref="Apply"/> supports an input.</summary>
    public static bool Supports(Tensor input) =>
        Simd.IsSupported && TensorMemory.CanRead(input) && input.dim() == 4 && input.numel() > 0
        && input.size(1) % VectorNative.Count == 0
        && input.stride(1) == 1 && (input.size(3) == 1 || input.stride(3) == input.size(1))
        && (input.size(2) == 1 || input.stride(2) == input.size(1) * input.size(3))
        && input.size(2) * input.size(3) <= int.MaxValue && 2 * input.size(0) * input.size(1) <= int.MaxValue;

    /// <summary>Normalizes.</summary>
    /// <param name="input">(batch, channels, height, width), the channels last.</param>
    /// <param name="groups">The number of groups, a divisor of the channels.</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="weight">(channels) or (batch, channels); null for ones.</param>
    /// <param name="bias">(channels) or (batch, channels); null for zeros.</param>
    /// <param name="shift">Added to the input before, (channels) or (batch, channels); null for none.</param>
    /// <param name="silu">Whether SiLU follows.</param>
    /// <returns>A tensor like the input.</returns>
    /// <exception cref="ArgumentException">The sizes do not fit together.</exception>
    public static Tensor Apply(Tensor input, long groups, double epsilon, Tensor? weight, Tensor? bias, Tensor? shift, bool silu)
    {
        var kernel = new GroupNormKernel(input, groups, epsilon, weight, bias, shift, silu);
        kernel.Run();
        Array.ForEach(kernel.workspace, tensor => tensor.Dispose());
        using var rows = kernel.output;
        return rows.permute(0, 3, 1, 2);
    }

    protected override void Compute<V>()
    {
        ThreadTeam.Run(checked(batch * blocks), piece =>
        {
            var (image, first) = (piece / blocks, piece % blocks * size);
            var start = from + (image * imageStride);
            Sum<V>(start + ((nint)first * channels), start, Sums(piece), channels, Math.Min(size, pixels - first));
        });
        ThreadTeam.Run(batch, image => Factors<V>(
            from + (image * imageStride), Sums(image * blocks), blocks, pixels, weights.At(image), biases.At(image), shifts.At(image),
            FactorsOf(image), channels, channels / groups, epsilon));
        ThreadTeam.Run(batch * blocks, piece =>
        {
            var (image, first) = (piece / blocks, piece % blocks * size);
            var (at, count) = ((nint)first * channels, Math.Min(size, pixels - first));
            Normalize<V>(
                from + (image * imageStride) + at, FactorsOf(image), to + ((nint)image * pixels * channels) + at, channels, count, silu);
        });

        float* Sums(int piece) => sums + ((nint)piece * 2 * channels);

        float* FactorsOf(int image) => factors + ((nint)image * 2 * channels);
    }

    /// <summary>Computes per channel the sum of the differences from the first pixel, then of their squares.</summary>
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void Sum<V>(float* input, float* first, float* sums, int channels, int pixels)
        where V : unmanaged, IFloatVector<V>
    {
        for (var channel = 0; channel < channels; channel += V.Count)
        {
            var (pivot, sum, squares) = (V.Load(first + channel), V.Create(0), V.Create(0));
            var pixel = input + channel;
            for (var i = 0; i < pixels; i++)
            {
                var difference = V.Load(pixel) - pivot;
                sum += difference;
                squares = V.FusedMultiplyAdd(difference, difference, squares);
                pixel += channels;
            }

            sum.Store(sums + channel);
            squares.Store(sums + channels + channel);
        }
    }

    /// <summary>Computes per channel what the input is multiplied by, then what is added.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Factors<V>(
        float* first, float* sums, int blocks, int pixels, Values weight, Values bias, Values shift, float* factors, int channels,
        int ofGroup, double epsilon)
        where V : unmanaged, IFloatVector<V>
    {
        V.CheckRead(first, channels);
        V.CheckRead(sums, (nint)blocks * 2 * channels);
        V.CheckWrite(factors, 2 * channels);
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
                    var pixel = sums + ((nint)block * 2 * channels) + start + i;
                    sum += pixel[0];
                    square += pixel[channels];
                }

                means[i] = first[start + i] + (sum / pixels) + shift.At(start + i, 0);
                squares[i] = (square - (sum * sum / pixels)) / pixels;
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
    private static void Normalize<V>(float* input, float* factors, float* output, int channels, int pixels, bool silu)
        where V : unmanaged, IFloatVector<V>
    {
        for (var pixel = 0; pixel < pixels; pixel++)
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

    /// <summary>Values per channel, the same for all images or different for each; or none.</summary>
    private readonly struct PerChannel(Tensor? tensor, float* start)
    {
        private readonly nint start = (nint)start;
        private readonly nint image = tensor?.dim() == 2 ? (nint)tensor.stride(0) : 0;
        private readonly nint channel = tensor is null ? 0 : (nint)tensor.stride(-1);

        public Values At(int image) => new(start == 0 ? 0 : (nint)((float*)start + (image * this.image)), channel);
    }

    private readonly record struct Values(nint Start, nint Step)
    {
        public double At(int channel, double otherwise) => Start == 0 ? otherwise : ((float*)Start)[channel * Step];
    }
}
