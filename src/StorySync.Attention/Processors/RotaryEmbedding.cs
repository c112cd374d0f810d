using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>The tables of a rotary position embedding over interleaved pairs:
/// <c>x ← x·cos + rotate(x)·sin</c> with <c>rotate(a, b) = (−b, a)</c> for each pair (diffusers' <c>apply_rotary_emb</c>).</summary>
/// <param name="Cos">Cosines, (tokens, head width); each value stands twice, once for each half of its pair.</param>
/// <param name="Sin">Sines, same shape.</param>
public sealed record RotaryEmbedding(Tensor Cos, Tensor Sin);
