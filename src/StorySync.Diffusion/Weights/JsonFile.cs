using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace StorySync.Diffusion.Weights;

/// <summary>JSON files of model folders, with errors that name them.</summary>
internal static partial class JsonFile
{
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    /// <summary>Parses a file whose root is an object and hands that to <paramref name="read"/>.</summary>
    /// <exception cref="ModelFileException">The file is missing or is no JSON object.</exception>
    public static T Read<T>(string path, Func<JsonElement, T> read) => Read(FileContent.Read(path), read);

    /// <summary>As <see cref="Read{T}(string, Func{JsonElement, T})"/>, from a file that is read already.</summary>
    public static T Read<T>(FileContent file, Func<JsonElement, T> read)
    {
        var path = file.Path;
        ReadOnlyMemory<byte> json = file.Bytes;
        if (json.Span.StartsWith("\ufeff"u8))
        {
            json = json["\ufeff"u8.Length..];
        }

        try
        {
            using var document = JsonDocument.Parse(QuotePythonNumbers(json), Strict);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? read(document.RootElement)
                : throw new ModelFileException(path, $"it holds {document.RootElement.ValueKind}; it must hold a JSON object");
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            throw json.Span.StartsWith("version https://git-lfs"u8) || json.Span.TrimStart(" \r\n\t"u8).StartsWith("<"u8)
                ? ForeignFile.Detect(new MemoryStream(json.ToArray()), path)
                : new ModelFileException(path, $"no valid JSON{Place(exception)}", exception);
        }
    }

    /// <summary>Where the fault is and what it is, without the reader's own advice to its programmers.</summary>
    private static string Place(Exception exception)
    {
        var what = exception.Message.Split(" LineNumber: ")[0].Replace(" Change the reader options.", "", StringComparison.Ordinal)
            .Replace(" which is not supported in this mode", "", StringComparison.Ordinal);
        return exception is JsonException { LineNumber: { } line, BytePositionInLine: { } position }
            ? $" in line {line + 1}, byte {position + 1}: {what}" : $": {what}";
    }

    /// <summary>Python writes infinities and NaN as bare words, which are no JSON; as strings they can be read.</summary>
    private static ReadOnlyMemory<byte> QuotePythonNumbers(ReadOnlyMemory<byte> json) =>
        json.Span.IndexOf("Infinity"u8) < 0 && json.Span.IndexOf("NaN"u8) < 0 ? json
            : Encoding.UTF8.GetBytes(StringOrPythonNumber().Replace(
                Encoding.UTF8.GetString(json.Span), match => match.Value[0] == '"' ? match.Value : $"\"{match.Value}\""));

    [GeneratedRegex("""
        "(?:[^"\\]|\\.)*"|-?Infinity|NaN
        """)]
    private static partial Regex StringOrPythonNumber();
}
