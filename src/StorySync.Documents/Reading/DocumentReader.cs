using System.Text;

namespace StorySync.Documents;

/// <summary>Reads YAML and JSON files.</summary>
internal static class DocumentReader
{
    /// <summary>The deepest nesting; a reader that calls itself for each level must not be led deeper.</summary>
    public const int MaxDepth = 32;

    private const long LargestFile = 4 << 20;

    /// <summary>Reads a file: JSON, with comments and trailing commas, if its name ends in <c>.json</c>, else YAML.</summary>
    /// <param name="path">The file.</param>
    /// <param name="what">What it should be, for messages: "story".</param>
    /// <exception cref="DocumentException">There is no such file, or it is neither.</exception>
    public static DocumentNode Read(string path, string what)
    {
        RegularFile.Check(path, what, LargestFile);
        string text;
        try
        {
            using var reader =
                new StreamReader(path, new UTF8Encoding(false, throwOnInvalidBytes: true), detectEncodingFromByteOrderMarks: true);
            text = reader.ReadToEnd();
        }
        catch (DecoderFallbackException exception)
        {
            throw new DocumentException($"'{path}' is not UTF-8 text; {English.A(what)} was expected.", exception);
        }
        catch (UnauthorizedAccessException exception)
        {
            throw new DocumentException($"'{path}' may not be read.", exception);
        }

        return IsJson(path) ? Json(path, text) : Yaml(path, text);
    }

    /// <summary>Whether a file is read as JSON.</summary>
    public static bool IsJson(string path) => path.EndsWith(".json", StringComparison.OrdinalIgnoreCase);

    /// <summary>Reads YAML.</summary>
    /// <param name="name">A name for messages.</param>
    /// <param name="text">The text.</param>
    public static DocumentNode Yaml(string name, string text) => new YamlReader(name, text).Read();

    /// <summary>Reads JSON.</summary>
    /// <inheritdoc cref="Yaml"/>
    public static DocumentNode Json(string name, string text) => new JsonReader(name, Encoding.UTF8.GetBytes(text)).Read();
}
