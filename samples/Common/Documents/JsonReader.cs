using System.Text;
using System.Text.Json;

namespace StorySync.Samples;

/// <summary>Turns the tokens of a JSON text into nodes.</summary>
/// <param name="name">The file's name.</param>
/// <param name="utf8">The text.</param>
internal sealed class JsonReader(string name, byte[] utf8)
{
    private long line = 1;
    private int lineStart;
    private int looked;

    /// <exception cref="UserErrorException">The text is not JSON.</exception>
    public DocumentNode Read()
    {
        var options = new JsonReaderOptions
        {
            CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, MaxDepth = DocumentReader.MaxDepth,
        };
        var reader = new Utf8JsonReader(utf8, options);
        try
        {
            reader.Read();
            var root = Node(ref reader);
            reader.Read();
            return root;
        }
        catch (JsonException exception)
        {
            throw new UserErrorException(
                $"{name}, line {exception.LineNumber + 1}, column {exception.BytePositionInLine + 1}: "
                    + $"{exception.Message.Split(" LineNumber:")[0]}", exception);
        }
        catch (InvalidOperationException exception)
        {
            // A lone half of a surrogate pair in an escape.
            throw new UserErrorException($"{name}, line {line}: a text is not valid Unicode.", exception);
        }
    }

    private DocumentNode Node(ref Utf8JsonReader reader)
    {
        var (atLine, column) = Position((int)reader.TokenStartIndex);
        switch (reader.TokenType)
        {
            case JsonTokenType.StartArray:
                var items = new List<DocumentNode>();
                while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
                {
                    items.Add(Node(ref reader));
                }

                return new ListNode(name, atLine, column, items);

            case JsonTokenType.StartObject:
                var entries = new List<(ScalarNode, DocumentNode)>();
                while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
                {
                    var (keyLine, keyColumn) = Position((int)reader.TokenStartIndex);
                    var key = new ScalarNode(name, keyLine, keyColumn, reader.GetString());
                    reader.Read();
                    entries.Add((key, Node(ref reader)));
                }

                return new MapNode(name, atLine, column, entries);

            case JsonTokenType.String:
                return new ScalarNode(name, atLine, column, reader.GetString());

            case JsonTokenType.Null:
                return new ScalarNode(name, atLine, column, null);

            default:
                return new ScalarNode(name, atLine, column, Encoding.UTF8.GetString(reader.ValueSpan));
        }
    }

    /// <summary>Line and column of a byte; bytes are asked for in order.</summary>
    private (long Line, long Column) Position(int index)
    {
        for (; looked < index; looked++)
        {
            if (utf8[looked] == '\n')
            {
                line++;
                lineStart = looked + 1;
            }
        }

        return (line, Encoding.UTF8.GetCharCount(utf8, lineStart, index - lineStart) + 1);
    }
}
