namespace StorySync.Attention;

/// <summary>Represents an attention layer of a denoiser, as a processor sees it.</summary>
/// <param name="Path">Its path in the model, as diffusers names it, for example
/// <c>up_blocks.0.attentions.1.transformer_blocks.3.attn1</c>.</param>
/// <param name="Kind">What its queries read.</param>
/// <param name="Heads">The number of heads.</param>
/// <param name="HeadWidth">The width of a head.</param>
public sealed record AttentionLayer(string Path, AttentionKind Kind, int Heads, int HeadWidth);
