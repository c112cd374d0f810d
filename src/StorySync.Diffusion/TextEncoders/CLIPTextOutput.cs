using static TorchSharp.torch;

namespace StorySync.Diffusion.TextEncoders;

/// <summary>Represents the output of a CLIP text encoder (transformers' <c>CLIPTextModelOutput</c>). All tensors belong to the
/// caller.</summary>
/// <param name="HiddenStates">(batch, tokens, hidden_size) each: first the embedding, then what each layer gives, before the final
/// norm. SDXL reads the last but one.</param>
/// <param name="LastHiddenState">The last of them after the final norm.</param>
/// <param name="PoolerOutput">(batch, hidden_size): the last hidden state at the end-of-text token.</param>
public sealed record CLIPTextOutput(IReadOnlyList<Tensor> HiddenStates, Tensor LastHiddenState, Tensor PoolerOutput)
{
    /// <summary>Gets the projected output, (batch, projection_dim): the pooled output projected to where texts and images are compared;
    /// null for a <see cref="CLIPTextModel"/>, which has no projection.</summary>
    public Tensor? TextEmbeds { get; init; }
}
