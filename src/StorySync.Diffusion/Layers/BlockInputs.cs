using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>What the blocks of a UNet hand down to their layers.</summary>
/// <param name="TimeEmbedding">(batch, width).</param>
/// <param name="Text">(batch, text tokens, width).</param>
/// <param name="TextMask">Added to the logits of cross-attention, (batch, 1, 1, text tokens); null when every token counts.</param>
/// <param name="Context">The run.</param>
internal sealed record BlockInputs(Tensor TimeEmbedding, Tensor Text, Tensor? TextMask, DenoisingContext Context)
{
    /// <summary>The grid of the tokens in the block at hand.</summary>
    public TokenGrid Grid { get; init; }

    /// <summary>What <see cref="TextMask"/> is to be for 1 for each text token that counts and 0 for the others, (batch, text tokens).</summary>
    public static Tensor? AdditiveMask(Tensor? counts, ScalarType dtype) =>
        counts is null ? null : ((1 - counts.to(dtype)) * -10000.0).unsqueeze(1).unsqueeze(1);
}
