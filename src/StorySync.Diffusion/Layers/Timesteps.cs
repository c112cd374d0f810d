using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Sinusoidal embedding of timesteps, or of any other numbers (diffusers' <c>Timesteps</c>).</summary>
internal sealed class Timesteps : ScopedModule<Tensor, Tensor>
{
    private readonly long width;
    private readonly bool flipSinToCos;
    private readonly double frequencyShift;

    /// <param name="width">The width of the result.</param>
    /// <param name="flipSinToCos">Whether cosines come before sines.</param>
    /// <param name="frequencyShift">Subtracted from half the width in the exponent's denominator.</param>
    public Timesteps(long width, bool flipSinToCos, double frequencyShift)
        : base(nameof(Timesteps))
    {
        this.width = width;
        this.flipSinToCos = flipSinToCos;
        this.frequencyShift = frequencyShift;
        RegisterComponents();
    }

    /// <param name="timesteps">(n); fractions are allowed.</param>
    /// <returns>(n, width), float32.</returns>
    protected override Tensor Compute(Tensor timesteps)
    {
        var half = width / 2;
        var indices = Arithmetic.Arange(0, half, dtype: float32, device: timesteps.device);
        var exponent = indices.Times(-Math.Log(10000)).Over(half - frequencyShift);
        var angles = timesteps.to(float32).unsqueeze(1) * exponent.exp().unsqueeze(0);
        var (sin, cos) = (angles.sin(), angles.cos());
        var embedding = cat(flipSinToCos ? [cos, sin] : [sin, cos], dim: 1);
        return width % 2 == 0 ? embedding : nn.functional.pad(embedding, [0, 1]);
    }
}
