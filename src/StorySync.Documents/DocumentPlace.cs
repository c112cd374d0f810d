using System.Globalization;

namespace StorySync.Documents;

/// <summary>Represents a place in a document, for messages.</summary>
/// <param name="Name">The name of the document, or of whatever else the text is from: "story.yaml", "--scene 1".</param>
/// <param name="Line">The line, from 1; 0 where there are no lines.</param>
/// <param name="Column">The column in UTF-16 characters, from 1; 0 for the whole line.</param>
public readonly record struct DocumentPlace(string Name, long Line = 0, long Column = 0)
{
    /// <summary>Returns the place in words: "story.yaml, line 3, column 5".</summary>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Name}{(Line > 0 ? $", line {Line}" : "")}{(Column > 0 ? $", column {Column}" : "")}");
}
