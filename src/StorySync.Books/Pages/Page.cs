using SkiaSharp;

namespace StorySync.Books;

/// <summary>A page: what stands where, in points from the upper left corner of the page when it has been cut.</summary>
/// <param name="Width">Its width.</param>
/// <param name="Height">Its height.</param>
/// <param name="Items">What is on it, the later ones above the earlier.</param>
internal sealed record Page(float Width, float Height, IReadOnlyList<PageItem> Items);

/// <summary>Something on a page.</summary>
internal abstract record PageItem;

/// <summary>An image.</summary>
/// <param name="Panel">Whose.</param>
/// <param name="Frame">What is seen of it.</param>
/// <param name="Image">Where all of it would be.</param>
/// <param name="HasBorder">Whether a line goes round it.</param>
internal sealed record ImageItem(int Panel, SKRect Frame, SKRect Image, bool HasBorder) : PageItem;

/// <summary>A text, each line centred.</summary>
/// <param name="Text">The text.</param>
/// <param name="Centre">The middle of its lines.</param>
/// <param name="Top">Its upper edge.</param>
internal sealed record TextItem(TextBlock Text, float Centre, float Top) : PageItem;

/// <summary>A speech bubble; its text follows as an item of its own.</summary>
/// <param name="Outline">Its outline, as SVG writes paths.</param>
/// <param name="Line">The width of its line.</param>
internal sealed record BubbleItem(string Outline, float Line) : PageItem;
