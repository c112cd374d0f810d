namespace StorySync.Pipelines;

/// <summary>What an image with transparent pixels has in its file.</summary>
/// <param name="Colors">Red, green and blue of every pixel, without regard to transparency.</param>
/// <param name="Alpha">The opacity of every pixel.</param>
internal sealed record TransparentPixels(byte[] Colors, byte[] Alpha);
