using System.Text.Json.Serialization;

namespace StorySync.Attention;

/// <summary>Specifies what the queries of an attention layer attend to.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<AttentionKind>))]
public enum AttentionKind
{
    /// <summary>Image tokens read the image tokens of their own row.</summary>
    Self,

    /// <summary>Image tokens read text tokens.</summary>
    Cross,

    /// <summary>Text and image tokens form one sequence, text first, and read all of it (FLUX).</summary>
    Joint,
}
