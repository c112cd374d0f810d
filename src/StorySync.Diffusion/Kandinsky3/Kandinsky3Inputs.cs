using static TorchSharp.torch;

namespace StorySync.Diffusion.Kandinsky3;

/// <summary>Represents the inputs of the forward pass of a <see cref="Kandinsky3UNet"/>.</summary>
/// <param name="Sample">Noisy latents, (batch, in_channels, height, width), in the dtype of the weights.</param>
/// <param name="Timestep">One timestep for all rows, (), or one a row, (batch).</param>
/// <param name="EncoderHiddenStates">Encoded prompts, (batch, tokens, encoder_hid_dim).</param>
public sealed record Kandinsky3Inputs(Tensor Sample, Tensor Timestep, Tensor EncoderHiddenStates)
{
    /// <summary>Gets the mask of the text: 1 for each text token that counts, 0 for the others, (batch, tokens); null when all do. In a row
    /// of zeros all count alike.</summary>
    public Tensor? EncoderAttentionMask { get; init; }

    /// <summary>Gets the number of text tokens that each row has, (batch), int64; those after them fill the batch up and change nothing.
    /// Null when every row has all tokens, as in diffusers.</summary>
    public Tensor? TextLengths { get; init; }
}
