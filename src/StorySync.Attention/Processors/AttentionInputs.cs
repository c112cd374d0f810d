using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Represents the inputs that a layer passes to its processor: projected (and, where the model does so, normalized and rotated)
/// queries, keys and values of one call.</summary>
/// <param name="Query">Queries, (batch, heads, query tokens, head width).</param>
/// <param name="Key">Keys, (batch, heads, key tokens, head width).</param>
/// <param name="Value">Values, (batch, heads, key tokens, head width).</param>
/// <param name="Grid">The grid of the image tokens among the queries.</param>
/// <param name="TextTokens">How many text tokens lead the queries, keys and values of joint attention; how many keys there are in
/// cross-attention; 0 in self-attention.</param>
public sealed record AttentionInputs(Tensor Query, Tensor Key, Tensor Value, TokenGrid Grid, int TextTokens = 0)
{
    /// <summary>Gets the tensor that is added to the logits after they are divided by √(head width); broadcasts to (batch, heads, query
    /// tokens, key tokens).</summary>
    public Tensor? Mask { get; init; }

    /// <summary>Gets the rotary position embedding that queries and keys carry, or null when the model has none.</summary>
    public RotaryEmbedding? Rotary { get; init; }
}
