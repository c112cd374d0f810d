namespace StorySync.Documents;

/// <summary>A value of a YAML or JSON file, and where it stands.</summary>
/// <param name="Place">Where the value stands.</param>
internal abstract record DocumentNode(DocumentPlace Place)
{
    /// <summary>Gets a value indicating whether the value is null.</summary>
    public bool IsNull => this is ScalarNode { Value: null };

    /// <summary>Creates the exception for a fault of this value.</summary>
    public DocumentException Error(string message) => new(Place, message);

    /// <summary>Gets the text of a scalar.</summary>
    /// <param name="what">What is read, for the message.</param>
    /// <exception cref="DocumentException">The value is null, a list or a mapping.</exception>
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
    /// <exception cref="DocumentException">The value is not a mapping, or a key is unknown or there twice.</exception>
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
                throw key.Error(Suggestion.For(name, known) is { } meant
                    ? $"'{name}' is not a key of {what}; did you mean '{meant}'? The known are {string.Join(", ", known)}."
                    : $"'{name}' is not a key of {what}; known are {string.Join(", ", known)}.");
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
        catch (DocumentException exception)
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
/// <param name="Place">Where it stands.</param>
/// <param name="Value">The value; null for null.</param>
internal sealed record ScalarNode(DocumentPlace Place, string? Value) : DocumentNode(Place);

/// <summary>A list.</summary>
/// <param name="Place">Where it stands.</param>
/// <param name="Values">Its values.</param>
internal sealed record ListNode(DocumentPlace Place, IReadOnlyList<DocumentNode> Values) : DocumentNode(Place);

/// <summary>A mapping.</summary>
/// <param name="Place">Where it stands.</param>
/// <param name="Values">Its keys and values.</param>
internal sealed record MapNode(DocumentPlace Place, IReadOnlyList<(ScalarNode Key, DocumentNode Value)> Values)
    : DocumentNode(Place);
