using System.Text.Json.Serialization;

namespace StorySync.Books;

/// <summary>Specifies the file that a book is written to.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<BookFormat>))]
public enum BookFormat
{
    /// <summary>PDF for print, with bleed.</summary>
    Pdf,

    /// <summary>EPUB 3 of fixed layout.</summary>
    Epub,

    /// <summary>A comic book archive: a page an image, with <c>ComicInfo.xml</c>.</summary>
    Cbz,

    /// <summary>One HTML page with everything inside.</summary>
    Html,
}
