using System.Text.Json;
using System.Text.Json.Serialization;

namespace StorySync.Pipelines;

/// <summary>Reads what refuses values out of its ranges, so that they are a fault of the JSON text and not of the program that reads
/// it.</summary>
/// <typeparam name="T">The type that is read.</typeparam>
internal sealed class CheckedJsonConverter<T> : JsonConverter<T>
    where T : class
{
    public override T? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(ref reader, options);
        }
        catch (ArgumentException exception)
        {
            throw new JsonException(exception.Message, exception);
        }
    }

    public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) =>
        JsonSerializer.Serialize(writer, value, options);
}
