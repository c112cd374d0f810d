using System.Text.Json.Serialization;

namespace StorySync.Attention;

/// <summary>Specifies a branch of classifier-free guidance.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<GuidanceBranch>))]
public enum GuidanceBranch
{
    /// <summary>The negative or the empty prompt, which the image is led away from.</summary>
    Unconditional,

    /// <summary>The prompt.</summary>
    Conditional,
}
