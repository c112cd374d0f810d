using StorySync.Diffusion.Autoencoders;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Paints latents without decoding them: red, green and blue of a pixel are linear in the channels of one latent. Coarse, small
/// and almost free.</summary>
internal sealed class LatentColors
{
    private readonly float[] factors;
    private readonly float[] bias;

    /// <param name="factors">For each channel what it adds to red, green and blue in [−1, 1].</param>
    /// <param name="bias">Red, green and blue where all channels are 0.</param>
    public LatentColors(IEnumerable<IReadOnlyList<double>> factors, IReadOnlyList<double> bias)
    {
        // From [−1, 1] to [0, 1], once for all images.
        this.factors = [.. factors.SelectMany(row => row.Select(f => (float)(f / 2)))];
        this.bias = [.. bias.Select(b => (float)((b + 1) / 2))];
    }

    /// <summary>Returns the fits of SDXL's and FLUX.1's autoencoders, to four digits as they are in use in the field (ComfyUI,
    /// <c>latent_formats.py</c>). An autoencoder is known by its channels, scale and shift.</summary>
    public static LatentColors? Known(ConvolutionalAutoencoderConfig autoencoder) => autoencoder switch
    {
        AutoencoderKLConfig { LatentChannels: 4, ScalingFactor: 0.13025, ShiftFactor: null or 0, LatentsMean: null } => new(
            [[0.3651, 0.4232, 0.4341], [-0.2533, -0.0042, 0.1068], [0.1076, 0.1111, -0.0362], [-0.3165, -0.2492, -0.2188]],
            [0.1084, -0.0175, -0.0011]),
        AutoencoderKLConfig { LatentChannels: 16, ScalingFactor: 0.3611, ShiftFactor: 0.1159, LatentsMean: null } => new(
            [
                [-0.0346, 0.0244, 0.0681], [0.0034, 0.0210, 0.0687], [0.0275, -0.0668, -0.0433], [-0.0174, 0.0160, 0.0617],
                [0.0859, 0.0721, 0.0329], [0.0004, 0.0383, 0.0115], [0.0405, 0.0861, 0.0915], [-0.0236, -0.0185, -0.0259],
                [-0.0245, 0.0250, 0.1180], [0.1008, 0.0755, -0.0421], [-0.0515, 0.0201, 0.0011], [0.0428, -0.0012, -0.0036],
                [0.0817, 0.0765, 0.0749], [-0.1264, -0.0522, -0.1103], [-0.0280, -0.0881, -0.0499], [-0.1262, -0.0982, -0.0778],
            ],
            [-0.0329, -0.0718, -0.0851]),
        _ => null,
    };

    /// <param name="latents">(rows, channels, height, width), as the denoiser has them.</param>
    /// <returns>An image of height × width pixels for each row.</returns>
    public IReadOnlyList<RgbImage> Paint(Tensor latents)
    {
        using var scope = NewDisposeScope();
        var weight = tensor(factors, [factors.Length / 3, 3], device: latents.device).t();
        var colors = nn.functional.linear(latents.to(float32).permute(0, 2, 3, 1), weight, tensor(bias, device: latents.device));
        return RgbImage.FromTensor(colors.permute(0, 3, 1, 2));
    }
}
