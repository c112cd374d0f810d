using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using StorySync.Documents;

namespace StorySync.Samples.Evaluate;

/// <summary>How this program reads and writes JSON.</summary>
internal static partial class Json
{
    private const long LargestFile = 256 << 20;

    public static JsonSerializerOptions Options { get; } = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        NumberHandling = JsonNumberHandling.Strict,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        ReadCommentHandling = JsonCommentHandling.Skip,
        AllowTrailingCommas = true,

        // "$type" of a request that a file changes comes after what the request had.
        AllowOutOfOrderMetadataProperties = true,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private static readonly JsonDocumentOptions Strict = new()
    {
        AllowDuplicateProperties = false, CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true,
    };

    /// <summary>Reads a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="what">What it should be, for messages: "file of answers".</param>
    /// <exception cref="UserErrorException">The file is missing or not of the form.</exception>
    public static T Read<T>(string path, string what)
    {
        RegularFile.Check(path, what, LargestFile);
        try
        {
            var text = File.ReadAllText(path);

            // Objects that are kept as such would report a duplicate key only when they are used.
            JsonDocument.Parse(text, Strict).Dispose();
            return JsonSerializer.Deserialize<T>(text, Options)
                ?? throw new UserErrorException($"{path} holds null; a {what} was expected.");
        }
        catch (JsonException exception)
        {
            var place = exception.LineNumber is { } line
                ? string.Create(CultureInfo.InvariantCulture, $", line {line + 1}, column {exception.BytePositionInLine + 1}")
                : "";
            throw new UserErrorException($"{path}{place}: {Describe(exception)}", exception);
        }
    }

    public static string Text<T>(T value) => JsonSerializer.Serialize(value, Options);

    /// <summary>What is wrong, in words about the file instead of this program's types.</summary>
    public static string Describe(JsonException exception)
    {
        var message = exception.Message.Split(" Path: ")[0].Split(" LineNumber: ")[0];
        var path = exception.Path is { Length: > 2 } known ? known[2..] : "the whole";
        return Missing().Match(message) is { Success: true } missing ? $"{missing.Groups[1].Value} is missing."
            : Unknown().Match(message) is { Success: true } unknown ? $"'{unknown.Groups[1].Value}' is not known here."
            : Null().Match(message) is { Success: true } nothing
                ? $"'{JsonNamingPolicy.CamelCase.ConvertName(nothing.Groups[1].Value)}' must not be null."
            : message.Contains("could not be converted", StringComparison.Ordinal)
                ? $"the value of {path} is not of the kind that is expected."
            : message;
    }

    [GeneratedRegex(@"missing required properties including: (.*?)\.?$")]
    private static partial Regex Missing();

    [GeneratedRegex(@"The JSON property '(.*)' could not be mapped")]
    private static partial Regex Unknown();

    [GeneratedRegex(@"'(\w+)' on type '.*' (doesn't|does not) allow")]
    private static partial Regex Null();
}
