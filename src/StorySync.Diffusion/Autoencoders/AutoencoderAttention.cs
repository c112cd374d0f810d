using StorySync.Kernels;
using StorySync.Diffusion.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>Self-attention among all places of a feature map: a norm, one head as wide as the channels, a residual connection
/// (diffusers' <c>Attention</c> as autoencoders build it). No processor plugs in here: a story is told in the denoiser.</summary>
internal sealed class AutoencoderAttention : ScopedModule<Tensor, Tensor?, Tensor>
{
    private readonly GroupNorm? group_norm;
    private readonly SpatialNorm? spatial_norm;
    private readonly Linear to_q;
    private readonly Linear to_k;
    private readonly Linear to_v;
    private readonly ModuleList<Linear> to_out;

    public AutoencoderAttention(long channels, AutoencoderLayers layers)
        : base(nameof(AutoencoderAttention))
    {
        (group_norm, spatial_norm) = layers.Norm(channels);
        to_q = new Linear(channels, channels);
        to_k = new Linear(channels, channels);
        to_v = new Linear(channels, channels);
        to_out = new ModuleList<Linear>(new Linear(channels, channels));
        RegisterComponents();
    }

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="latents">What a spatial norm looks at; else not used.</param>
    protected override Tensor Compute(Tensor input, Tensor? latents)
    {
        var places = (spatial_norm?.call(input, latents) ?? group_norm!.call(input)).permute(0, 2, 3, 1);
        var tokens = places.flatten(1, 2).unsqueeze(1);
        var attended = ScaledDotProduct.Attend(to_q.call(tokens), to_k.call(tokens), to_v.call(tokens));
        return to_out[0].call(attended).reshape(places.shape).permute(0, 3, 1, 2).Plus_(input);
    }
}
