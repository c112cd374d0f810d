using StorySync.Diffusion.Schedulers.Tables;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>What a model's answer says, by the config's <c>prediction_type</c>.</summary>
internal static class Prediction
{
    /// <summary>The clean sample, where signal and noise keep the variance.</summary>
    public static Tensor Original(string type, Tensor output, Tensor sample, NoiseLevel level) => type switch
    {
        "epsilon" => (sample - level.Noise * output) / level.Signal,
        "v_prediction" => level.Signal * sample - level.Noise * output,
        _ => output,
    };

    /// <summary>The noise in the sample, where signal and noise keep the variance.</summary>
    public static Tensor Epsilon(string type, Tensor output, Tensor sample, NoiseLevel level) => type switch
    {
        "sample" => (sample - level.Signal * output) / level.Noise,
        "v_prediction" => level.Signal * output + level.Noise * sample,
        _ => output,
    };

    /// <summary>The clean sample, where noise is added to a signal that keeps its size.</summary>
    public static Tensor Original(string type, Tensor output, Tensor sample, float sigma) => type switch
    {
        "epsilon" => sample - sigma * output,
        "v_prediction" => output * (-sigma / TorchMath.Sqrt(sigma * sigma + 1)) + sample / (sigma * sigma + 1),
        _ => output,
    };
}
