using System.Text.Json;
using System.Text.Json.Nodes;
using StorySync.Documents;
using StorySync.Pipelines;

namespace StorySync.Samples.Evaluate;

/// <summary>Changes some of a story's options and keeps the others.</summary>
internal static class OptionsPatch
{
    /// <summary>Applies changes that a file makes.</summary>
    /// <param name="options">The options to start from.</param>
    /// <param name="changes">The options that differ.</param>
    /// <param name="file">The same as they stand in the file.</param>
    /// <exception cref="UserErrorException">An option is unknown or its value out of range; the message names the place.</exception>
    public static StoryOptions Apply(StoryOptions options, JsonObject changes, DocumentNode file) =>
        Apply(options, changes, path => Find(file, path).Place.ToString());

    /// <summary>Applies changes that the command line makes.</summary>
    /// <inheritdoc cref="Apply(StoryOptions, JsonObject, DocumentNode)"/>
    /// <param name="where">What makes them, for the message.</param>
    public static StoryOptions Apply(StoryOptions options, JsonObject changes, string where) => Apply(options, changes, _ => where);

    private static StoryOptions Apply(StoryOptions options, JsonObject changes, Func<string[], string> place)
    {
        var merged = JsonSerializer.SerializeToNode(options, Json.Options)!.AsObject();
        Merge(merged, changes);
        try
        {
            return merged.Deserialize<StoryOptions>(Json.Options)!;
        }
        catch (JsonException exception) when (exception.InnerException is ArgumentException refused)
        {
            throw Refused(refused);
        }
        catch (JsonException exception)
        {
            // What reads a part of the options tells the path within it.
            var path = (exception.Path ?? "$").Split('.')[1..];
            path = path.Length == 0 ? path : [.. Path(changes, path[0]).SkipLast(1), .. path];
            exception = new JsonException(exception.Message, $"$.{string.Join('.', path)}", null, null, exception);
            var known = exception.Message.Contains("could not be mapped", StringComparison.Ordinal)
                ? $" Known are {string.Join(", ", Members(path))}."
                : "";
            throw new UserErrorException($"{place(path)}: {Json.Describe(exception)}{known}", exception);
        }
        catch (ArgumentException exception)
        {
            throw Refused(exception);
        }

        UserErrorException Refused(ArgumentException exception)
        {
            // The setter that refused the value knows its own name alone.
            string[] path = exception.ParamName is null ? [] : [.. Path(changes, exception.ParamName)];
            return new($"{place(path)}: {English.OneLine(exception.Message)}", exception);
        }
    }

    /// <summary>The names that can stand where the last of a path does.</summary>
    private static IEnumerable<string> Members(string[] path)
    {
        var type = typeof(StoryOptions);
        foreach (var name in path.SkipLast(1))
        {
            type = Json.Options.GetTypeInfo(type).Properties.FirstOrDefault(member => member.Name == name)?.PropertyType ?? type;
        }

        return Json.Options.GetTypeInfo(Nullable.GetUnderlyingType(type) ?? type).Properties.Select(member => member.Name);
    }

    /// <summary>The path to the first option of a name.</summary>
    private static IEnumerable<string> Path(JsonObject changes, string name)
    {
        foreach (var (key, value) in changes)
        {
            if (key.Equals(name, StringComparison.OrdinalIgnoreCase))
            {
                return [key];
            }

            if (value is JsonObject inner && Path(inner, name).ToArray() is { Length: > 0 } rest)
            {
                return [key, .. rest];
            }
        }

        return [];
    }

    private static DocumentNode Find(DocumentNode node, string[] path)
    {
        foreach (var name in path)
        {
            if (node is not MapNode map || map.Values.FirstOrDefault(entry =>
                name.Equals(entry.Key.Value, StringComparison.OrdinalIgnoreCase)) is not { Key: { } key, Value: { } value })
            {
                break;
            }

            node = value is MapNode ? value : key;
        }

        return node;
    }

    private static void Merge(JsonObject target, JsonObject changes)
    {
        foreach (var (name, value) in changes)
        {
            if (value is JsonObject inner && target[name] is JsonObject outer)
            {
                Merge(outer, inner);
            }
            else
            {
                target[name] = value?.DeepClone();
            }
        }
    }
}
