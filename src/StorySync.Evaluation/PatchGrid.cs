namespace StorySync.Evaluation;

/// <summary>Represents an image as a grid of patches, each with its vector.</summary>
/// <param name="Width">Patches in a row.</param>
/// <param name="Height">Rows.</param>
/// <param name="Patches">The vectors, row by row.</param>
public sealed record PatchGrid(int Width, int Height, IReadOnlyList<float[]> Patches);
