using StorySync.Pipelines;

namespace StorySync.Documents;

/// <summary>Represents a character of a <see cref="StoryFile"/>.</summary>
/// <param name="Character">The character.</param>
public sealed record StoryFileCharacter(Character Character)
{
    /// <summary>Gets where the character stands, for messages; null where it was not read.</summary>
    public DocumentPlace? Place { get; init; }
}
