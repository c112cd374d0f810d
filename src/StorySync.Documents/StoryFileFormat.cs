using System.Text.Json.Serialization;

namespace StorySync.Documents;

/// <summary>Specifies how a story is written.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<StoryFileFormat>))]
public enum StoryFileFormat
{
    /// <summary>YAML, one document.</summary>
    Yaml,

    /// <summary>JSON, with comments and trailing commas.</summary>
    Json,
}
