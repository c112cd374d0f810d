using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Otsu's threshold (N. Otsu, 1979), computed where the values lie: nothing is read back.</summary>
internal static class Otsu
{
    private const int Bins = 256;

    /// <summary>Finds the cut that best parts values into two classes, on a histogram of 256 bins.</summary>
    /// <param name="values">Values in [0, 1], (…, count): every row is cut by itself.</param>
    /// <returns>The thresholds, (…): the bin center of the largest between-class variance, the lowest one if several reach it, and the
    /// first bin's when all values share a bin. A value is foreground if it is greater. float64 for float64 values, else float32.</returns>
    public static Tensor Threshold(Tensor values)
    {
        ArgumentNullException.ThrowIfNull(values);
        using var scope = NewDisposeScope();

        // Counts and sums of bin centres (odd multiples of 1/512) are exact in float64, so equal variances compare equal and the
        // first of them wins on every device.
        var exact = values.to_type(ScalarType.Float64);
        var bins = exact.Times(Bins).to_type(ScalarType.Int64).Clamp(0, Bins - 1);
        var shape = values.shape;
        shape[^1] = Bins;
        var counts = zeros(shape, ScalarType.Float64, values.device).scatter_add_(-1, bins, ones_like(exact));
        var centres = Arithmetic.Arange(0, Bins, dtype: ScalarType.Float64, device: values.device).Plus(0.5).Over(Bins);

        var below = counts.cumsum(-1);
        var sumBelow = (counts * centres).cumsum(-1);
        var above = below.narrow(-1, Bins - 1, 1) - below;
        var sumAbove = sumBelow.narrow(-1, Bins - 1, 1) - sumBelow;
        var variance = below * above * (sumBelow / below - sumAbove / above).Pow(2);
        var split = variance.MaskedFill(below.EqualTo(0).logical_or(above.EqualTo(0)), -1);

        var threshold = centres.index_select(0, split.argmax(-1).flatten()).reshape(shape[..^1]);
        return threshold.to_type(values.dtype == ScalarType.Float64 ? ScalarType.Float64 : ScalarType.Float32).MoveToOuterDisposeScope();
    }
}
