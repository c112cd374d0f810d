namespace StorySync.Kernels;

/// <summary>Queries of an image that read the same keys.</summary>
/// <param name="Image">The image.</param>
/// <param name="Queries">Their tokens.</param>
/// <param name="Foreign">What they read in addition to all tokens of their own image: image · tokens + token.</param>
internal sealed record TokenGroup(int Image, int[] Queries, int[] Foreign);
