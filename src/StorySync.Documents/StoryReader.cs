using System.Collections.ObjectModel;
using StorySync.Pipelines;

namespace StorySync.Documents;

/// <summary>Turns the nodes of a document into a story.</summary>
/// <param name="folder">The folder that masks are relative to; null if they cannot be read.</param>
internal sealed class StoryReader(string? folder)
{
    /// <summary>The masks that were read, by their paths: one that several scenes name is read once.</summary>
    private readonly Dictionary<string, RgbImage> images = new(StringComparer.Ordinal);

    /// <exception cref="DocumentException">It is none.</exception>
    public static StoryFile Read(DocumentNode root, string? folder) => new StoryReader(folder).Story(root);

    private StoryFile Story(DocumentNode root)
    {
        var entries = root.RequireMap("a story", StorySchema.Story.Names);
        var scenes = entries.GetValueOrDefault("scenes");
        var file = new StoryFile
        {
            Title = Text(entries, "title"),
            Author = Text(entries, "author"),
            Language = Text(entries, "language"),
            Subjects = Phrases(entries.GetValueOrDefault("subjects")),
            Cast = Value(entries, "cast") is { } cast ? [.. cast.RequireMap("the cast").Select(one => Character(one.Key, one.Value))] : [],
            Scenes = [.. (scenes?.RequireList("scenes") ?? []).Select(Scene)],
            Negative = Text(entries, "negative"),
            Seed = Whole(entries, "seed", NumberRange.Any),
            Steps = (int?)Whole(entries, "steps", NumberRange.Steps),
            Guidance = Value(entries, "guidance") is { } node
                ? node.Check(() => NumberRange.Any.Parse("guidance", node.RequireText("guidance")))
                : null,
            Width = (int?)Whole(entries, "width", NumberRange.Side),
            Height = (int?)Whole(entries, "height", NumberRange.Side),
        };
        return file.Scenes.Count > 0 ? file
            : throw (scenes ?? root).Error("the story has no scenes; 'scenes' must list at least one prompt.");
    }

    private static IReadOnlyList<string> BoxKeys => StorySchema.Box.Names;

    private static StoryFileCharacter Character(string name, DocumentNode node)
    {
        if (string.IsNullOrWhiteSpace(name))
        {
            throw node.Error("a character of the cast has an empty name.");
        }

        if (node is ScalarNode)
        {
            return new StoryFileCharacter(new Character(name, NotEmpty(node, "a description"))) { Place = node.Place };
        }

        var entries = node.RequireMap("a character", StorySchema.Character.Names);
        var description = Value(entries, "description") ?? throw node.Error("a character needs a 'description'.");
        return new StoryFileCharacter(
            new Character(name, NotEmpty(description, "description"))
            {
                Aliases = [.. (Value(entries, "aliases")?.RequireList("aliases") ?? []).Select(alias => NotEmpty(alias, "an alias"))],
                Noun = Value(entries, "noun") is { } noun ? NotEmpty(noun, "noun") : null,
            })
        {
            Place = node.Place,
        };
    }

    private static string[] Phrases(DocumentNode? node) => node is null
        ? []
        : [.. node.RequireList("subjects").Select(subject => NotEmpty(subject, "a subject"))];

    private StoryFileScene Scene(DocumentNode node)
    {
        if (node.IsNull)
        {
            throw node.Error("a scene needs a prompt, but this one is null.");
        }

        if (node is ScalarNode)
        {
            return new StoryFileScene(NotEmpty(node, "a scene")) { Place = node.Place };
        }

        var entries = node.RequireMap("a scene", StorySchema.Scene.Names);
        return new StoryFileScene(NotEmpty(Value(entries, "prompt") ?? throw node.Error("a scene needs a 'prompt'."), "prompt"))
        {
            Place = node.Place,
            Seed = Whole(entries, "seed", NumberRange.Any),
            States = Value(entries, "states")?.RequireMap("states")
                .ToDictionary(state => state.Key, state => NotEmpty(state.Value, "a state")) ?? [],
            Subjects = Value(entries, "subjects") is { } subjects
                ? [.. subjects.RequireList("subjects").Select(subject => subject.IsNull ? null : NotEmpty(subject, "a subject"))]
                : null,
            Masks = Value(entries, "masks") is { } own
                ? [.. own.RequireList("masks").Select(mask => mask.IsNull ? null : Image(mask, "mask"))]
                : null,
            Regions = [.. (Value(entries, "regions")?.RequireMap("regions") ?? ReadOnlyDictionary<string, DocumentNode>.Empty)
                .Where(region => !region.Value.IsNull).Select(region => Region(region.Key, region.Value))],
            Location = Value(entries, "location") is { } location ? NotEmpty(location, "location") : null,
            Caption = Text(entries, "caption"),
            Dialogue = [.. (Value(entries, "dialogue")?.RequireList("dialogue") ?? []).Select(Line)],
        };
    }

    private StoryFileRegion Region(string of, DocumentNode node)
    {
        if (node is ScalarNode)
        {
            return new StoryFileRegion(of) { Place = node.Place, ImageFile = Image(node, "region") };
        }

        IReadOnlyList<DocumentNode> sides;
        if (node is MapNode)
        {
            var entries = node.RequireMap("a region", BoxKeys);
            sides = [.. BoxKeys.Select(key => Value(entries, key) ?? throw node.Error($"a region needs '{key}'."))];
        }
        else
        {
            sides = node.RequireList("a region");
            if (sides.Count != BoxKeys.Count)
            {
                throw node.Error($"a region has {English.Count(sides.Count, "number")}; it needs 4: left, top, width and height.");
            }
        }

        double[] box = [.. BoxKeys.Zip(sides, (key, side) => side.Check(() => NumberRange.Fraction.Parse(key, side.RequireText(key))))];
        try
        {
            return new StoryFileRegion(of) { Place = node.Place, Box = new RegionBox(box[0], box[1], box[2], box[3]) };
        }
        catch (ArgumentException exception)
        {
            throw node.Error(exception.Message);
        }
    }

    private static StoryFileLine Line(DocumentNode node)
    {
        var entries = node.RequireMap("a line of dialogue", StorySchema.Line.Names);
        return new StoryFileLine(Needed("who"), Needed("says"));

        string Needed(string key) => NotEmpty(Value(entries, key) ?? throw node.Error($"a line of dialogue needs '{key}'."), key);
    }

    /// <summary>Reads a mask or region.</summary>
    private StoryFileImage Image(DocumentNode node, string what)
    {
        var name = NotEmpty(node, English.A(what));
        if (folder is null)
        {
            throw node.Error($"the {what} '{name}' is a file, but a story that is given as text cannot name files; give a box, or leave "
                + "it out.");
        }

        var path = Path.Combine(folder, name);
        if (!images.TryGetValue(path, out var image))
        {
            try
            {
                image = ImageFile.Read(path, file => RgbImage.Load(file), what: what);
            }
            catch (Exception exception) when (exception is not OutOfMemoryException)
            {
                var fault = ImageFile.Fault(exception);
                throw node.Error(fault.Contains(path, StringComparison.Ordinal) ? fault : $"the {what} '{path}' cannot be read: {fault}");
            }

            images[path] = image;
        }

        return new StoryFileImage(name, image);
    }

    private static DocumentNode? Value(IReadOnlyDictionary<string, DocumentNode> entries, string key) =>
        entries.TryGetValue(key, out var node) && !node.IsNull ? node : null;

    private static string? Text(IReadOnlyDictionary<string, DocumentNode> entries, string key) => Value(entries, key)?.RequireText(key);

    private static long? Whole(IReadOnlyDictionary<string, DocumentNode> entries, string key, NumberRange range) =>
        Value(entries, key) is { } node ? node.Check(() => range.ParseWhole(key, node.RequireText(key))) : null;

    private static string NotEmpty(DocumentNode node, string what)
    {
        var text = node.RequireText(what);
        return string.IsNullOrWhiteSpace(text) ? throw node.Error($"{what} must not be empty.") : text;
    }
}

