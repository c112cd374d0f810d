using System.Text.Json.Serialization;

namespace StorySync.Samples.Evaluate;

/// <summary>Where a variant has its anchors from, if not from the story itself.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<AnchorSource>))]
internal enum AnchorSource
{
    /// <summary>From a bank's file: the anchors are made, written and read again, and the other scenes are drawn with them.</summary>
    Bank,

    /// <summary>The first scene is the plain model's image, used as an image of the user's.</summary>
    Image,
}
