using System.Text.Encodings.Web;
using System.Text.Json;

namespace StorySync.Samples;

/// <summary>Writes what a command found, as text for people or as JSON for programs.</summary>
/// <param name="output">Receives it.</param>
/// <param name="isJson">Whether it is written as JSON.</param>
internal sealed class ResultWriter(TextWriter output, bool isJson)
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        NewLine = "\n",
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public TextWriter Output => output;

    /// <summary>The JSON text of a result.</summary>
    public static string ToJson(object value) => JsonSerializer.Serialize(value, Json);

    /// <param name="value">What is written as JSON.</param>
    /// <param name="text">Writes it as text.</param>
    public void Write(object value, Action<TextWriter> text)
    {
        if (isJson)
        {
            output.WriteLine(ToJson(value));
        }
        else
        {
            text(output);
        }
    }
}
