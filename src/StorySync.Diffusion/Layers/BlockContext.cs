using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>What one forward pass of a UNet tells each of its blocks besides the hidden state.</summary>
/// <param name="TimeEmbedding">(batch, width).</param>
/// <param name="Text">(batch, text tokens, width).</param>
/// <param name="TextMask">Added to the logits of cross-attention, (batch, 1, 1, text tokens); null when every token counts.</param>
/// <param name="Context">The denoising context.</param>
internal sealed record BlockContext(Tensor TimeEmbedding, Tensor Text, Tensor? TextMask, DenoisingContext Context)
{
    /// <summary>Gets the grid of the tokens in the current block.</summary>
    public TokenGrid Grid { get; init; }

    /// <summary>Gets the driver of the blocks and of the layers in them.</summary>
    public BlockDriver Driver { get; } = new(Context);

    /// <summary>Makes a <see cref="TextMask"/> of 1 for each text token that counts and 0 for the others, (batch, text tokens).</summary>
    public static Tensor? AdditiveMask(Tensor? counts, ScalarType dtype) =>
        counts is null ? null : counts.to(dtype).Complement().Times(-10000.0).unsqueeze(1).unsqueeze(1);
}
