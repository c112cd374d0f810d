namespace StorySync.Kernels;

/// <summary>Queries of an image that read the same keys.</summary>
/// <param name="Image">The image.</param>
/// <param name="Queries">Their tokens.</param>
/// <param name="CrossImage">What they read in addition to all tokens of their own image.</param>
/// <param name="Bias">Added to the logits of their own image's tokens, one for each; null for none.</param>
internal sealed record TokenGroup(int Image, int[] Queries, IReadOnlyList<CrossImageTokens> CrossImage, float[]? Bias = null);

/// <summary>Tokens of other images.</summary>
/// <param name="Tokens">Which: image · tokens + token.</param>
/// <param name="Bias">Added to their logits.</param>
internal sealed record CrossImageTokens(int[] Tokens, float Bias);
