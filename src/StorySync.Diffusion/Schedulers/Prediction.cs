using StorySync.Diffusion.Schedulers.Tables;
using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>What a model's answer says, by the config's <c>prediction_type</c>.</summary>
internal static class Prediction
{
    /// <summary>Returns the clean sample, where signal and noise keep the variance.</summary>
    public static Tensor OriginalSample(string type, Tensor output, Tensor sample, NoiseLevel level) => type switch
    {
        "epsilon" => (sample - output.Times(level.Noise)).Over(level.Signal),
        "v_prediction" => sample.Times(level.Signal) - output.Times(level.Noise),
        _ => output,
    };

    /// <summary>Returns the noise in the sample, where signal and noise keep the variance.</summary>
    public static Tensor Epsilon(string type, Tensor output, Tensor sample, NoiseLevel level) => type switch
    {
        "sample" => (sample - output.Times(level.Signal)).Over(level.Noise),
        "v_prediction" => output.Times(level.Signal).Plus(sample.Times(level.Noise)),
        _ => output,
    };

    /// <summary>Returns the clean sample, where noise is added to a signal that keeps its size.</summary>
    public static Tensor Denoised(string type, Tensor output, Tensor sample, float sigma) => type switch
    {
        "epsilon" => sample - output.Times(sigma),
        "v_prediction" => output.Times(-sigma / TorchMath.Sqrt(sigma * sigma + 1)).Plus(sample.Over(sigma * sigma + 1)),
        _ => output,
    };
}
