namespace StorySync.Books;

/// <summary>Specifies how the pages of a book look.</summary>
public sealed record BookOptions
{
    /// <summary>Gets how images stand on pages. Default <see cref="BookLayout.Single"/>.</summary>
    public BookLayout Layout { get; init; }

    /// <summary>Gets the size of a page; null (default) for the layout's.</summary>
    public PageSize? Trim { get; init; }

    /// <summary>Gets how far images that reach a page's edge go on beyond it in a PDF, in millimeters, from 0 to 20, so that no cut leaves
    /// a white line. Default 3.</summary>
    public double Bleed { get; init; } = 3;

    /// <summary>Gets the size of captions in points, from 5 to 72; small images have smaller ones. Default 12.</summary>
    public double TextSize { get; init; } = 12;

    /// <summary>Gets the pixels per inch of a comic book archive's pages, from 36 to 1200. Default 200.</summary>
    public double Dpi { get; init; } = 200;

    /// <summary>Gets a value indicating whether the book is read from right to left; null (default) for what is usual in
    /// <see cref="StoryBook.Language"/>.</summary>
    public bool? RightToLeft { get; init; }

    /// <summary>Gets the time that the file says it was made at. The default is the same for all, so that the same book is the same
    /// file.</summary>
    public DateTimeOffset Date { get; init; } = new(2000, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>The size of a page in millimeters.</summary>
    internal PageSize TrimOrDefault => Trim ?? Layout switch
    {
        BookLayout.Strip => new(297, 95),
        BookLayout.Webtoon => new(100, 100),
        BookLayout.Spread => new(210, 210),
        _ => new(148, 210),
    };

    /// <exception cref="ArgumentException">An option is out of range.</exception>
    internal void Check()
    {
        Require(Enum.IsDefined(Layout), $"Layout is {Layout}; known are {string.Join(", ", Enum.GetNames<BookLayout>())}.");
        var (width, height) = (TrimOrDefault.Width, TrimOrDefault.Height);
        Require(width is >= 30 and <= 1000 && height is >= 30 and <= 1000, FormattableString.Invariant(
            $"Trim is {width} × {height}; a page has 30 to 1000 millimeters each way."));
        Require(Bleed is >= 0 and <= 20, FormattableString.Invariant($"Bleed is {Bleed}; it must be from 0 to 20 millimeters."));
        Require(TextSize is >= 5 and <= 72, FormattableString.Invariant($"TextSize is {TextSize}; it must be from 5 to 72 points."));
        Require(Dpi is >= 36 and <= 1200, FormattableString.Invariant($"Dpi is {Dpi}; it must be from 36 to 1200."));
        Require(
            Date.Year is >= 1980 and < 2108,
            FormattableString.Invariant($"Date is of the year {Date.Year}; an archive knows those from 1980 to 2107."));
    }

    private static void Require(bool holds, string message)
    {
        if (!holds)
        {
            throw new ArgumentException(message);
        }
    }
}
