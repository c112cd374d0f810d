using System.Text.Json;
using System.Text.Json.Serialization;

namespace StorySync.Diffusion.TextEncoders;

/// <summary>Represents the size of an image in a preprocessor's config: <c>{"shortest_edge": 224}</c>, <c>{"height": 224, "width":
/// 224}</c>, or, in older files, <c>224</c>, which is a shortest edge where an image is resized and a square where it is cropped.</summary>
[JsonConverter(typeof(CLIPImageSizeConverter))]
public sealed record CLIPImageSize
{
    /// <summary>Gets the shorter of height and width, in pixels; null where both are given.</summary>
    public int? ShortestEdge { get; init; }

    /// <summary>Gets the height, in pixels.</summary>
    public int? Height { get; init; }

    /// <summary>Gets the width, in pixels.</summary>
    public int? Width { get; init; }

    /// <summary>Whether it is a size.</summary>
    internal bool IsComplete => ShortestEdge is not null || (Height is not null && Width is not null);

    /// <summary>A shortest edge.</summary>
    public static implicit operator CLIPImageSize(int shortestEdge) => new() { ShortestEdge = shortestEdge };

    /// <summary>The new size of an image that keeps its proportions if only the shortest edge is given.</summary>
    internal (int Height, int Width) ToResize(int height, int width) => ShortestEdge is { } edge
        ? height < width ? (edge, (int)((long)edge * width / height)) : ((int)((long)edge * height / width), edge)
        : ToCrop();

    internal (int Height, int Width) ToCrop() => (Height ?? ShortestEdge, Width ?? ShortestEdge) is ({ } height, { } width)
        ? (height, width)
        : throw new InvalidOperationException($"{this} is not a size: it needs a shortest edge, or height and width.");
}

internal sealed class CLIPImageSizeConverter : JsonConverter<CLIPImageSize>
{
    private const int MaximumPixels = 16384;

    public override CLIPImageSize Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        var size = JsonElement.ParseValue(ref reader);
        return size.ValueKind == JsonValueKind.Object
            ? new CLIPImageSize { ShortestEdge = Entry(size, "shortest_edge"), Height = Entry(size, "height"),
                Width = Entry(size, "width") }
            : new CLIPImageSize { ShortestEdge = Pixels(size) };
    }

    public override void Write(Utf8JsonWriter writer, CLIPImageSize value, JsonSerializerOptions options)
    {
        writer.WriteStartObject();
        foreach (var (key, number) in new[] { ("shortest_edge", value.ShortestEdge), ("height", value.Height), ("width", value.Width) })
        {
            if (number is { } pixels)
            {
                writer.WriteNumber(key, pixels);
            }
        }

        writer.WriteEndObject();
    }

    private static int? Entry(JsonElement size, string key) =>
        size.TryGetProperty(key, out var entry) && entry.ValueKind != JsonValueKind.Null ? Pixels(entry) : null;

    private static int Pixels(JsonElement number) =>
        number.ValueKind == JsonValueKind.Number && number.TryGetInt32(out var pixels) && pixels is > 0 and <= MaximumPixels
            ? pixels
            : throw new JsonException(
                $"A size is a whole number from 1 to {MaximumPixels}, or an object with shortest_edge or with height and width.");
}
