using System.Text.Json;

namespace StorySync.Diffusion.Weights;

/// <summary>JSON files of model folders, with errors that name them.</summary>
internal static class JsonFile
{
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    /// <summary>Parses a file whose root is an object and hands that to <paramref name="read"/>.</summary>
    /// <exception cref="ModelFileException">The file is missing or is no JSON object.</exception>
    public static T Read<T>(string path, Func<JsonElement, T> read)
    {
        ReadOnlyMemory<byte> json = ReadBytes(path);
        if (json.Span.StartsWith("\ufeff"u8))
        {
            json = json["\ufeff"u8.Length..];
        }

        try
        {
            using var document = JsonDocument.Parse(json, Strict);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? read(document.RootElement)
                : throw new ModelFileException(path, $"it holds {document.RootElement.ValueKind}; it must hold a JSON object");
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            throw json.Span.StartsWith("version https://git-lfs"u8) || json.Span.TrimStart(" \r\n\t"u8).StartsWith("<"u8)
                ? ForeignFile.Recognise(new MemoryStream(json.ToArray()), path)
                : new ModelFileException(path, $"no valid JSON: {exception.Message}", exception);
        }
    }

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
