using StorySync.Attention;
using StorySync.Diffusion.Denoising;

namespace StorySync.Diffusion.Flux;

/// <summary>What one forward pass tells each of its blocks besides hidden states and conditioning.</summary>
/// <param name="Rotary">The positions of all tokens, text first.</param>
/// <param name="Grid">How the image tokens lie.</param>
/// <param name="TextTokens">How many text tokens lead.</param>
/// <param name="Context">The run.</param>
internal sealed record FluxPass(RotaryEmbedding Rotary, TokenGrid Grid, int TextTokens, DenoisingContext Context);
