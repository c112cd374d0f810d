using System.Text.Json;
using System.Text.Json.Serialization;

namespace StorySync.Pipelines;

/// <summary>An image in JSON is a PNG file in base64, with its transparency, because a mask may be one; any format that can be read is
/// taken.</summary>
internal sealed class RgbImageJsonConverter : JsonConverter<RgbImage>
{
    public override RgbImage Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType != JsonTokenType.String || !reader.TryGetBytesFromBase64(out var file))
        {
            throw new JsonException("An image must be a text: an image file (PNG, JPEG, WebP) in base64.");
        }

        try
        {
            return RgbImage.Decode(file);
        }
        catch (InvalidDataException exception)
        {
            throw new JsonException(exception.Message, exception);
        }
    }

    public override void Write(Utf8JsonWriter writer, RgbImage value, JsonSerializerOptions options) =>
        writer.WriteBase64StringValue(value.EncodeTransparent());
}
