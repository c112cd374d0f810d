using StorySync.Diffusion.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>Replaces each latent vector by the nearest one of a codebook (diffusers' <c>VectorQuantizer</c>).</summary>
internal sealed class VectorQuantizer : ScopedModule<Tensor, (Tensor Quantized, Tensor Indices)>
{
    private readonly Embedding embedding;

    public VectorQuantizer(long entries, long width)
        : base(nameof(VectorQuantizer))
    {
        embedding = new Embedding(entries, width);
        RegisterComponents();
    }

    /// <param name="latents">(batch, width, height, width).</param>
    /// <returns>The nearest codebook vectors in the same shape, and their indices, (batch × height × width), place by place.</returns>
    protected override (Tensor Quantized, Tensor Indices) Compute(Tensor latents)
    {
        var places = latents.permute(0, 2, 3, 1);
        var indices = cdist(places.reshape(-1, latents.shape[1]), embedding.weight).argmin(1);
        var quantized = embedding.call(indices).reshape(places.shape).permute(0, 3, 1, 2).contiguous();
        return (quantized, indices);
    }
}
