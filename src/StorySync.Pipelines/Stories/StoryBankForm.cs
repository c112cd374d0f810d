using System.Text.Json.Serialization;

namespace StorySync.Pipelines;

/// <summary>Specifies what a <see cref="StoryBank"/> keeps of its anchors.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<StoryBankForm>))]
public enum StoryBankForm
{
    /// <summary>The latents with which the anchors enter each step, and their masks: small. The anchors are computed along with each batch
    /// of scenes.</summary>
    Trajectory,

    /// <summary>The keys, values and outputs of the anchors' subject tokens in each call of each attention layer: large. Scenes read them,
    /// and no anchor is computed.</summary>
    Keys,
}
