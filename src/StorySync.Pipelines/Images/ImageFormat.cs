using System.Text.Json.Serialization;

namespace StorySync.Pipelines;

/// <summary>Specifies the format of an encoded image.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<ImageFormat>))]
public enum ImageFormat
{
    /// <summary>PNG: lossless; it can carry texts of any keyword.</summary>
    Png,

    /// <summary>JPEG: lossy.</summary>
    Jpeg,

    /// <summary>WebP: lossy, or lossless with quality 100.</summary>
    WebP,
}
