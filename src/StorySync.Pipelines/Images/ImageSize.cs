namespace StorySync.Pipelines;

/// <summary>Represents the size of an image. A pair (height, width) converts to it.</summary>
/// <param name="Height">The height in pixels.</param>
/// <param name="Width">The width in pixels.</param>
public readonly record struct ImageSize(int Height, int Width)
{
    /// <summary>Returns the size of a height and a width.</summary>
    /// <param name="size">The height and the width.</param>
    public static implicit operator ImageSize((int Height, int Width) size) => new(size.Height, size.Width);
}
