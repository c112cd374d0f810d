using System.Text.Json.Serialization;

namespace StorySync.Pipelines;

/// <summary>Specifies how weights are rounded when a model is loaded.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<WeightQuantization>))]
public enum WeightQuantization
{
    /// <summary>Not at all.</summary>
    None,

    /// <summary>To 8-bit whole numbers, with a scale for each output channel of a layer, in the denoiser and the text encoders.</summary>
    Int8,
}
