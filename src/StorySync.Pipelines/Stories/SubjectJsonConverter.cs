using System.Text.Json;
using System.Text.Json.Serialization;

namespace StorySync.Pipelines;

/// <summary>A subject in JSON is its phrase.</summary>
internal sealed class SubjectJsonConverter : JsonConverter<Subject>
{
    public override Subject Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String
            ? new Subject(reader.GetString()!)
            : throw new JsonException($"A subject is {reader.TokenType}; expected its phrase, a text.");

    public override void Write(Utf8JsonWriter writer, Subject value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value.Phrase);
}
