using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Tokens of images that are read and are not in the batch: the first images.</summary>
/// <param name="Images">The number of these images.</param>
/// <param name="Rows">For each of their tokens, image by image, its row; −1 for one that is not kept.</param>
/// <param name="Repeats">For each time that the batch has its images the keys and the values, (rows, heads, width), contiguous.</param>
internal sealed record KeptTokens(int Images, int[] Rows, IReadOnlyList<(Tensor Key, Tensor Value)> Repeats);

/// <summary>The heads of kept tokens, for one of the times that the batch has its images.</summary>
/// <param name="Images">The number of images that are kept; 0 for none.</param>
/// <param name="Rows">For each of their tokens its row.</param>
/// <param name="Key">The keys, as those of one image.</param>
/// <param name="Value">The values.</param>
internal readonly record struct KeptHeads(int Images, int[] Rows, HeadView Key, HeadView Value);
