using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Keeps a predicted clean sample within a range.</summary>
internal static class SampleClipping
{
    /// <summary>Thresholds or clamps, as a config says.</summary>
    public static Tensor Apply(Tensor sample, ClippingSchedulerConfig config) =>
        config.Thresholding ? Threshold(sample, config.DynamicThresholdingRatio, config.SampleMaxValue)
        : config.ClipSample ? Clip(sample, config.ClipSampleRange)
        : sample;

    /// <summary>Clamps to ±<paramref name="range"/>.</summary>
    public static Tensor Clip(Tensor sample, double range) => sample.Clamp(-range, range);

    /// <summary>Dynamic thresholding (Imagen, arXiv 2205.11487): each row is clamped to the quantile <paramref name="ratio"/> of its
    /// magnitudes, at least 1 and at most <paramref name="maximum"/>, and divided by it.</summary>
    public static Tensor Threshold(Tensor sample, double ratio, double maximum)
    {
        var flat = sample.flatten(1);
        flat = flat.dtype is ScalarType.Float32 or ScalarType.Float64 ? flat : flat.to(float32);
        var limit = flat.abs().quantile(tensor(ratio, flat.dtype, flat.device), 1).Clamp(1, maximum).unsqueeze(1);
        return (flat.clamp(-limit, limit) / limit).reshape(sample.shape).to(sample.dtype);
    }
}
