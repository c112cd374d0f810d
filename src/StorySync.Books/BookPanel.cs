using StorySync.Pipelines;

namespace StorySync.Books;

/// <summary>Represents an image of a book, with what is said and told in it.</summary>
/// <param name="Image">The image.</param>
public sealed record BookPanel(RgbImage Image)
{
    /// <summary>Gets the text that is told; null or empty for none.</summary>
    public string? Caption { get; init; }

    /// <summary>Gets what is said, in order, each line in a bubble.</summary>
    public IReadOnlyList<BookLine> Dialogue { get; init; } = [];

    /// <summary>Gets who is in the image and where: bubbles stay off them, and point to those who speak.</summary>
    public IReadOnlyList<BookFigure> Figures { get; init; } = [];

    /// <summary>Gets what the image shows, for readers who do not see it; null for the caption.</summary>
    public string? Description { get; init; }
}

/// <summary>Represents what somebody says.</summary>
/// <param name="Who">A name of one of the <see cref="BookPanel.Figures"/>; any other is of somebody out of sight, whose bubble points to
/// nobody.</param>
/// <param name="Says">What is said.</param>
public sealed record BookLine(string Who, string Says);

/// <summary>Represents somebody in an image.</summary>
/// <param name="Names">What <see cref="BookLine.Who"/> can call the figure; case does not count.</param>
/// <param name="Region">Where the figure is.</param>
public sealed record BookFigure(IReadOnlyList<string> Names, SubjectRegion Region)
{
    /// <summary>Gets where the face is, which no bubble covers; null (default) for the upper 55 % of the region's height.</summary>
    public RegionBox? Face { get; init; }
}
