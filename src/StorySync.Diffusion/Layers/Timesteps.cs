using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Sinusoidal embedding of timesteps (diffusers' <c>Timesteps</c> / <c>get_timestep_embedding</c>).</summary>
internal static class Timesteps
{
    /// <param name="timesteps">Any number of timesteps, (n); fractions are allowed.</param>
    /// <param name="width">The width of the result.</param>
    /// <param name="flipSinToCos">Whether cosines come before sines.</param>
    /// <param name="frequencyShift">Subtracted from half the width in the exponent's denominator.</param>
    /// <returns>(n, width), float32.</returns>
    public static Tensor Embed(Tensor timesteps, int width, bool flipSinToCos = true, double frequencyShift = 0)
    {
        using var scope = NewDisposeScope();
        var half = width / 2;
        var exponent = -Math.Log(10000) * arange(half, dtype: float32, device: timesteps.device) / (half - frequencyShift);
        var angles = timesteps.to(float32).unsqueeze(1) * exponent.exp().unsqueeze(0);
        var (sin, cos) = (angles.sin(), angles.cos());
        var embedding = cat(flipSinToCos ? [cos, sin] : [sin, cos], dim: 1);
        if (width % 2 == 1)
        {
            embedding = nn.functional.pad(embedding, [0, 1]);
        }

        return embedding.MoveToOuterDisposeScope();
    }
}
