namespace StorySync.Pipelines;

/// <summary>Specifies the format of an encoded image.</summary>
public enum ImageFormat
{
    /// <summary>PNG: lossless, and the only format that carries text.</summary>
    Png,

    /// <summary>JPEG: lossy.</summary>
    Jpeg,

    /// <summary>WebP: lossy, or lossless with quality 100.</summary>
    WebP,
}
