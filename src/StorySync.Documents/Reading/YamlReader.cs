using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace StorySync.Documents;

/// <summary>Turns the events of a YAML text into nodes.</summary>
/// <param name="name">The file's name.</param>
/// <param name="text">The text.</param>
internal sealed class YamlReader(string name, string text)
{
    private readonly Parser parser = new(new StringReader(text));

    /// <summary>Where each anchor stands, and its node; null while it is still being read.</summary>
    private readonly Dictionary<string, (ParsingEvent Start, DocumentNode? Node)> anchors = [];

    /// <exception cref="DocumentException">The text is not one YAML document.</exception>
    public DocumentNode Read()
    {
        try
        {
            parser.Consume<StreamStart>();
            if (parser.Accept<StreamEnd>(out _))
            {
                throw new DocumentException($"{name} holds nothing but space and comments.");
            }

            parser.Consume<DocumentStart>();
            var root = Node(0);
            parser.Consume<DocumentEnd>();
            return parser.Accept<StreamEnd>(out _) ? root
                : throw Error(parser.Current!, "a second document begins; the file must hold one.");
        }
        catch (YamlException exception)
        {
            throw new DocumentException(PlaceOf(exception.Start), exception.Message, exception);
        }
        catch (Exception exception) when (exception is InvalidOperationException or ArgumentException or IndexOutOfRangeException)
        {
            // YamlDotNet's scanner has no words of its own for some broken texts, an open '[' for example.
            var line = parser.Current?.End.Line ?? 1;
            throw new DocumentException(
                new DocumentPlace(name, line), "what follows is not YAML; a bracket or a quote may be open.", exception);
        }
    }

    private DocumentNode Node(int depth)
    {
        var start = parser.Consume<ParsingEvent>();
        if (start is AnchorAlias alias)
        {
            return !anchors.TryGetValue(alias.Value.Value, out var known) ? throw Error(alias, $"there is no anchor '&{alias.Value}'.")
                : known.Node ?? throw Error(known.Start, $"this contains itself by the alias '*{alias.Value}' in line {alias.Start.Line}.");
        }

        if (depth > DocumentReader.MaxDepth)
        {
            throw Error(start, $"values are nested more than {DocumentReader.MaxDepth} deep.");
        }

        var anchor = ((NodeEvent)start).Anchor;
        if (!anchor.IsEmpty)
        {
            anchors[anchor.Value] = (start, null);
        }

        DocumentNode read = start switch
        {
            Scalar scalar => Scalar(scalar),
            SequenceStart => List(start, depth),
            _ => Map(start, depth),
        };
        if (!anchor.IsEmpty)
        {
            anchors[anchor.Value] = (start, read);
        }

        return read;
    }

    private ListNode List(ParsingEvent start, int depth)
    {
        var values = new List<DocumentNode>();
        while (!parser.TryConsume<SequenceEnd>(out _))
        {
            values.Add(Node(depth + 1));
        }

        return new ListNode(PlaceOf(start.Start), values);
    }

    private MapNode Map(ParsingEvent start, int depth)
    {
        var values = new List<(ScalarNode, DocumentNode)>();
        while (!parser.TryConsume<MappingEnd>(out _))
        {
            var key = Node(depth + 1);
            values.Add((key as ScalarNode ?? throw key.Error("a key must be a text."), Node(depth + 1)));
        }

        return new MapNode(PlaceOf(start.Start), values);
    }

    private ScalarNode Scalar(Scalar scalar) => new(
        PlaceOf(scalar.Start),
        scalar.Style == ScalarStyle.Plain && scalar.Value is "" or "~" or "null" or "Null" or "NULL" ? null : scalar.Value);

    private DocumentException Error(ParsingEvent at, string message) =>
        new(PlaceOf(at.Start), message);

    private DocumentPlace PlaceOf(Mark mark) => new(name, mark.Line, mark.Column);
}
