using System.ComponentModel.DataAnnotations;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>Represents the <c>config.json</c> of <see cref="VQModel"/>, with diffusers' defaults.</summary>
public sealed record VQModelConfig : ConvolutionalAutoencoderConfig
{
    /// <inheritdoc/>
    [Range(1, 1 << 20)]
    public override int LatentChannels { get; init; } = 3;

    /// <summary>Gets the number of vectors in the codebook.</summary>
    [Range(1, 1 << 20)]
    public int NumVqEmbeddings { get; init; } = 256;

    /// <summary>Gets the number of channels of the quantized latents; null is as many as <see cref="LatentChannels"/>.</summary>
    [Range(1, 1 << 20)]
    public int? VqEmbedDim { get; init; }

    /// <summary>Gets the kind of norms in the decoder: "group" for plain norms in the decoder, "spatial" for norms that look at the latents
    /// (MoVQ).</summary>
    [AllowedValues("group", "spatial")]
    public string NormType { get; init; } = "group";
}
