using System.Text.Json.Serialization;

namespace StorySync.Books;

/// <summary>Specifies how images stand on the pages of a book.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<BookLayout>))]
public enum BookLayout
{
    /// <summary>One image a page, from edge to edge, and its caption below. A5 by default.</summary>
    Single,

    /// <summary>Two rows of two images. A5 by default.</summary>
    Grid,

    /// <summary>One large image, and three small ones below it. A5 by default.</summary>
    Feature,

    /// <summary>A row of up to four images. 297 mm × 95 mm by default.</summary>
    Strip,

    /// <summary>Images of a page's width, each with its caption, below each other, for scrolling. 100 mm wide by default; a page is as
    /// high as it has to be.</summary>
    Webtoon,

    /// <summary>Facing pages: the caption on the first, the image from edge to edge on the second. 210 mm × 210 mm by default.</summary>
    Spread,
}
