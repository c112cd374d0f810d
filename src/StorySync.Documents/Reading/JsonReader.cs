using System.Text;
using System.Text.Json;

namespace StorySync.Documents;

/// <summary>Turns the tokens of a JSON text into nodes.</summary>
/// <param name="name">The file's name.</param>
/// <param name="utf8">The text.</param>
internal sealed class JsonReader(string name, byte[] utf8)
{
    private long line = 1;
    private int lineStart;
    private int looked;

    /// <exception cref="DocumentException">The text is not JSON.</exception>
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
            throw new DocumentException(
                new DocumentPlace(name, (exception.LineNumber + 1) ?? 0, (exception.BytePositionInLine + 1) ?? 0),
                exception.Message.Split(" LineNumber:")[0], exception);
        }
        catch (InvalidOperationException exception)
        {
            // A lone half of a surrogate pair in an escape.
            throw new DocumentException(new DocumentPlace(name, line), "a text is not valid Unicode.", exception);
        }
    }

    private DocumentNode Node(ref Utf8JsonReader reader)
    {
        var place = Position((int)reader.TokenStartIndex);
        switch (reader.TokenType)
        {
            case JsonTokenType.StartArray:
                var items = new List<DocumentNode>();
                while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
                {
                    items.Add(Node(ref reader));
                }

                return new ListNode(place, items);

            case JsonTokenType.StartObject:
                var entries = new List<(ScalarNode, DocumentNode)>();
                while (reader.Read() && reader.TokenType != JsonTokenType.EndObject)
                {
                    var key = new ScalarNode(Position((int)reader.TokenStartIndex), reader.GetString());
                    reader.Read();
                    entries.Add((key, Node(ref reader)));
                }

                return new MapNode(place, entries);

            case JsonTokenType.String:
                return new ScalarNode(place, reader.GetString());

            case JsonTokenType.Null:
                return new ScalarNode(place, null);

            default:
                return new ScalarNode(place, Encoding.UTF8.GetString(reader.ValueSpan));
        }
    }

    /// <summary>Line and column of a byte; bytes are asked for in order.</summary>
    private DocumentPlace Position(int index)
    {
        for (; looked < index; looked++)
        {
            if (utf8[looked] == '\n')
            {
                line++;
                lineStart = looked + 1;
            }
        }

        return new(name, line, Encoding.UTF8.GetCharCount(utf8, lineStart, index - lineStart) + 1);
    }
}
