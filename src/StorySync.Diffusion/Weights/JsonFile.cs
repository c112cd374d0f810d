using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace StorySync.Diffusion.Weights;

/// <summary>JSON files of model folders, with errors that name them.</summary>
internal static partial class JsonFile
{
    private const int BytesOfAnEntry = 16;

    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    /// <summary>Parses a file whose root is an object and hands that to <paramref name="read"/>.</summary>
    /// <exception cref="ModelFileException">The file is missing or is no JSON object.</exception>
    public static T Read<T>(string path, Func<JsonElement, T> read) => Parse(path, json =>
    {
        using var document = JsonDocument.Parse(QuotePythonNumbers(json), Strict);
        return document.RootElement.ValueKind == JsonValueKind.Object
            ? read(document.RootElement)
            : throw NoObject(path, document.RootElement.ValueKind.ToString());
    });

    /// <summary>Reads an object of whole numbers. A vocabulary of 50,000 tokens takes a tenth of the time that a document of it would.</summary>
    /// <exception cref="ModelFileException">The file is missing or is no JSON object of numbers without duplicates.</exception>
    public static Dictionary<string, int> ReadNumbers(string path) => Parse(path, json =>
    {
        var reader = new Utf8JsonReader(json.Span);
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw NoObject(path, reader.TokenType.ToString());
        }

        var numbers = new Dictionary<string, int>(json.Length / BytesOfAnEntry);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            reader.Read();
            if (!numbers.TryAdd(name, reader.GetInt32()))
            {
                throw new JsonException($"it has two entries \"{name}\"");
            }
        }

        reader.Read();
        return numbers;
    });

    private static T Parse<T>(string path, Func<ReadOnlyMemory<byte>, T> parse)
    {
        ReadOnlyMemory<byte> json = ReadBytes(path);
        if (json.Span.StartsWith("\ufeff"u8))
        {
            json = json["\ufeff"u8.Length..];
        }

        try
        {
            return parse(json);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            throw json.Span.StartsWith("version https://git-lfs"u8) || json.Span.TrimStart(" \r\n\t"u8).StartsWith("<"u8)
                ? ForeignFile.Recognise(new MemoryStream(json.ToArray()), path)
                : new ModelFileException(path, $"no valid JSON: {exception.Message}", exception);
        }
    }

    private static ModelFileException NoObject(string path, string kind) => new(path, $"it holds {kind}; it must hold a JSON object");

    /// <summary>Python writes infinities and NaN as bare words, which are no JSON; as strings they can be read.</summary>
    private static ReadOnlyMemory<byte> QuotePythonNumbers(ReadOnlyMemory<byte> json) =>
        json.Span.IndexOf("Infinity"u8) < 0 && json.Span.IndexOf("NaN"u8) < 0 ? json
            : Encoding.UTF8.GetBytes(StringOrPythonNumber().Replace(
                Encoding.UTF8.GetString(json.Span), match => match.Value[0] == '"' ? match.Value : $"\"{match.Value}\""));

    [GeneratedRegex("""
        "(?:[^"\\]|\\.)*"|-?Infinity|NaN
        """)]
    private static partial Regex StringOrPythonNumber();

    private static byte[] ReadBytes(string path)
    {
        try
        {
            return File.ReadAllBytes(path);
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            throw ModelFileException.NotFound(path, exception);
        }
        catch (UnauthorizedAccessException exception)
        {
            throw new ModelFileException(path, $"it cannot be read: {exception.Message}", exception);
        }
    }
}
