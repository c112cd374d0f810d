using System.Text.Json;
using System.Text.Json.Serialization;

namespace StorySync.Pipelines;

/// <summary>A region in JSON is a list of its rows, <c>#</c> where the subject is, <c>.</c> elsewhere.</summary>
internal sealed class SubjectRegionJsonConverter : JsonConverter<SubjectRegion>
{
    public override SubjectRegion Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        var rows = JsonSerializer.Deserialize<string?[]>(ref reader, JsonSerializerOptions.Default) ?? [];
        return rows is [{ Length: > 0 } first, ..] && rows.All(row => row?.Length == first.Length && row.All(cell => cell is '#' or '.'))
            ? new SubjectRegion(first.Length, rows.Length, [.. rows.SelectMany(row => row!.Select(cell => cell == '#'))])
            : throw new JsonException("A region must be a list of equally long rows of '#' and '.'.");
    }

    public override void Write(Utf8JsonWriter writer, SubjectRegion value, JsonSerializerOptions options)
    {
        writer.WriteStartArray();
        for (var y = 0; y < value.Height; y++)
        {
            writer.WriteStringValue(string.Create(value.Width, (value, y), static (row, from) =>
            {
                for (var x = 0; x < row.Length; x++)
                {
                    row[x] = from.value.Cells[(from.y * row.Length) + x] ? '#' : '.';
                }
            }));
        }

        writer.WriteEndArray();
    }
}
