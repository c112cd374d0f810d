using System.Globalization;

namespace StorySync.Samples;

/// <summary>A value of a YAML or JSON file, and where it stands.</summary>
/// <param name="File">The file, as the user named it.</param>
/// <param name="Line">The line, from 1.</param>
/// <param name="Column">The column, from 1.</param>
internal abstract record DocumentNode(string File, long Line, long Column)
{
    /// <summary>Where the value stands: "story.yaml, line 3, column 5".</summary>
    public string Place => string.Create(CultureInfo.InvariantCulture, $"{File}, line {Line}, column {Column}");

    /// <summary>Gets a value indicating whether the value is null.</summary>
    public bool IsNull => this is ScalarNode { Value: null };

    /// <summary>Creates the exception for a fault of this value.</summary>
    public UserErrorException Error(string message) => new($"{Place}: {message}");

    /// <summary>Gets the text of a scalar.</summary>
    /// <param name="what">What is read, for the message.</param>
    /// <exception cref="UserErrorException">The value is null, a list or a mapping.</exception>
    public string RequireText(string what) => this is ScalarNode { Value: { } text } ? text
        : throw Error($"{what} must be a text, not {Kind}.");

    /// <summary>Gets the values of a list; a scalar stands for a list of one, null for an empty one.</summary>
    /// <inheritdoc cref="RequireText"/>
    public IReadOnlyList<DocumentNode> RequireList(string what) => this switch
    {
        ListNode list => list.Values,
        ScalarNode { Value: null } => [],
        ScalarNode => [this],
        _ => throw Error($"{what} must be a list, not {Kind}."),
    };

    /// <summary>Gets the entries of a mapping.</summary>
    /// <param name="what">What is read, for the message.</param>
    /// <param name="known">The keys that it can have; null for any.</param>
    /// <exception cref="UserErrorException">The value is not a mapping, or a key is unknown or there twice.</exception>
    public IReadOnlyDictionary<string, DocumentNode> RequireMap(string what, IReadOnlyList<string>? known = null)
    {
        if (this is not MapNode map)
        {
            throw Error($"{what} must be a mapping of keys to values, not {Kind}.");
        }

        var entries = new Dictionary<string, DocumentNode>(StringComparer.Ordinal);
        foreach (var (key, value) in map.Values)
        {
            var name = key.Value ?? "null";
            if (known?.Contains(name) == false)
            {
                throw key.Error($"'{name}' is not a key of {what}; known are {string.Join(", ", known)}.");
            }

            if (!entries.TryAdd(name, value))
            {
                throw key.Error($"the key '{name}' is there twice.");
            }
        }

        return entries;
    }

    /// <summary>Runs a check of this value and adds the place to its message.</summary>
    public T Check<T>(Func<T> check)
    {
        try
        {
            return check();
        }
        catch (UserErrorException exception)
        {
            throw Error(exception.Message);
        }
    }

    private string Kind => this switch
    {
        ListNode => "a list",
        MapNode => "a mapping",
        ScalarNode { Value: null } => "null",
        _ => "a text",
    };
}

/// <summary>A text, number or other single value.</summary>
/// <param name="File">The file.</param>
/// <param name="Line">The line, from 1.</param>
/// <param name="Column">The column, from 1.</param>
/// <param name="Value">The value; null for null.</param>
internal sealed record ScalarNode(string File, long Line, long Column, string? Value) : DocumentNode(File, Line, Column);

/// <summary>A list.</summary>
/// <param name="File">The file.</param>
/// <param name="Line">The line, from 1.</param>
/// <param name="Column">The column, from 1.</param>
/// <param name="Values">Its values.</param>
internal sealed record ListNode(string File, long Line, long Column, IReadOnlyList<DocumentNode> Values) : DocumentNode(File, Line, Column);

/// <summary>A mapping.</summary>
/// <param name="File">The file.</param>
/// <param name="Line">The line, from 1.</param>
/// <param name="Column">The column, from 1.</param>
/// <param name="Values">Its keys and values.</param>
internal sealed record MapNode(string File, long Line, long Column, IReadOnlyList<(ScalarNode Key, DocumentNode Value)> Values)
    : DocumentNode(File, Line, Column);
