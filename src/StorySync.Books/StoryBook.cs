using System.Text;
using System.Xml;
using StorySync.Diffusion.Weights;
using StorySync.Pipelines;

namespace StorySync.Books;

/// <summary>Represents a story as a book: images with captions and dialogue.</summary>
/// <remarks>
/// <code language="csharp">
/// var book = StoryBook.From(result) with { Title = "A frog's day" };
/// book.Save("frog.pdf", new BookOptions { Layout = BookLayout.Grid });
/// </code>
/// <para>Text is shaped by HarfBuzz in an embedded font, and in the system's where that one lacks a character. The same book and options
/// make the same bytes on one machine; other machines have other fonts.</para>
/// </remarks>
public sealed record StoryBook
{
    private const int MostCharacters = 3000;

    /// <summary>Languages that are written from the right.</summary>
    private static readonly string[] FromRight = ["ar", "arc", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"];

    /// <summary>Gets the title, which has a page of its own; empty (default) for none.</summary>
    public string Title { get; init; } = "";

    /// <summary>Gets who made the book; null (default) for nobody.</summary>
    public string? Author { get; init; }

    /// <summary>Gets the language as a BCP 47 tag. Default "en".</summary>
    public string Language { get; init; } = "en";

    /// <summary>Gets the images, in order; at least one.</summary>
    public required IReadOnlyList<BookPanel> Panels { get; init; }

    /// <summary>The title, and something where there is none.</summary>
    internal string TitleOrDefault => Title.Length > 0 ? Title : "Story";

    /// <summary>Creates a book of a story, without captions and dialogue. Its figures are the subjects where they were found.</summary>
    /// <param name="story">The story.</param>
    /// <param name="cast">The story's cast, by whose names dialogue can speak of figures; null for none.</param>
    public static StoryBook From(StoryResult story, IEnumerable<Character>? cast = null)
    {
        ArgumentNullException.ThrowIfNull(story);
        Character[] characters = [.. cast ?? []];
        return new StoryBook
        {
            Panels =
            [
                .. story.Scenes.Select(scene => new BookPanel(scene.Image)
                {
                    Description = scene.Prompt,
                    Figures =
                    [
                        .. scene.Subjects.Where(found => found.Region is { Area: > 0 })
                            .Select(found => new BookFigure(NamesOf(found.Subject, characters), found.Region!)),
                    ],
                }),
            ],
        };
    }

    /// <summary>Returns the names by which dialogue can speak of a subject: its phrase, and the names of the characters that it
    /// is.</summary>
    /// <param name="subject">The subject.</param>
    /// <param name="cast">The characters.</param>
    public static IReadOnlyList<string> NamesOf(Subject subject, IEnumerable<Character> cast)
    {
        ArgumentNullException.ThrowIfNull(subject);
        ArgumentNullException.ThrowIfNull(cast);
        return
        [
            subject.Phrase,
            .. cast.Where(one => one.Subject() == subject).SelectMany(one => one.Aliases.Prepend(one.Name)),
        ];
    }

    /// <summary>Returns the book as a file in memory.</summary>
    /// <param name="format">The format.</param>
    /// <param name="options">How it looks; null for the defaults.</param>
    /// <exception cref="ArgumentException">The book has no images, a text has control characters or no room, or an option is out of
    /// range.</exception>
    /// <exception cref="InvalidOperationException">No font of the system has a character, which a PDF and a comic book archive
    /// need.</exception>
    public byte[] ToBytes(BookFormat format, BookOptions? options = null)
    {
        options ??= new BookOptions();
        options.Check();
        Check();
        return format switch
        {
            BookFormat.Pdf => PdfBook.Write(this, options),
            BookFormat.Epub => EpubBook.Write(this, options),
            BookFormat.Cbz => CbzBook.Write(this, options),
            BookFormat.Html => HtmlBook.Write(this, options),
            _ => throw new ArgumentException($"The format is {format}; known are {string.Join(", ", Enum.GetNames<BookFormat>())}."),
        };
    }

    /// <summary>Writes the book to a file, whole or not at all.</summary>
    /// <param name="path">The file, whose name ends in <c>.pdf</c>, <c>.epub</c>, <c>.cbz</c> or <c>.html</c>.</param>
    /// <param name="options">How it looks; null for the defaults.</param>
    /// <exception cref="ArgumentException">As of <see cref="ToBytes"/>, or the name ends in something else.</exception>
    /// <exception cref="IOException">The file cannot be written; what was there before stays.</exception>
    /// <inheritdoc cref="ToBytes" path="/exception[contains(@cref, 'InvalidOperation')]"/>
    public void Save(string path, BookOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var extension = Path.GetExtension(path);
        var bytes = Enum.TryParse<BookFormat>(extension.TrimStart('.'), ignoreCase: true, out var format) && Enum.IsDefined(format)
            && !char.IsDigit(extension[1])
            ? ToBytes(format, options)
            : throw new ArgumentException($"'{path}' ends in '{extension}'; expected .pdf, .epub, .cbz or .html.", nameof(path));
        AtomicFile.Write(Path.GetFullPath(path), stream => stream.Write(bytes));
    }

    /// <summary>Returns how fine the coarsest image is on its page, in pixels per inch. 300 is usual for print.</summary>
    /// <param name="options">How the book looks; null for the defaults.</param>
    /// <exception cref="ArgumentException">As of <see cref="ToBytes"/>.</exception>
    /// <seealso cref="DiffusionPipeline.RefineStory"/>
    public double Resolution(BookOptions? options = null)
    {
        options ??= new BookOptions();
        options.Check();
        Check();
        using var fonts = new BookFonts();
        return new PageComposer(this, options, fonts, (float)options.Bleed * PageComposer.Millimeter).Compose()
            .SelectMany(page => page.Items.OfType<ImageItem>()).Min(item => Panels[item.Panel].Image.Width / (item.Image.Width / 72.0));
    }

    /// <summary>Draws a story larger, by its model, for a book with a resolution for print: so many whole times as large as it takes,
    /// as far as <paramref name="largestFactor"/>.</summary>
    /// <param name="pipeline">The model.</param>
    /// <param name="story">The story; it stays the caller's.</param>
    /// <param name="options">How the book looks; null for the defaults.</param>
    /// <param name="dpi">The resolution, in pixels per inch.</param>
    /// <param name="largestFactor">The most times; a model has to know the size.</param>
    /// <param name="drawing">How the story is drawn; null for the defaults. Its size is not taken.</param>
    /// <param name="progress">The provider that receives progress updates after each denoising step.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    /// <returns>The larger story, for the caller to dispose; null where the story is fine enough as it is.</returns>
    public static async Task<StoryResult?> RefineForPrintAsync(
        DiffusionPipeline pipeline, StoryResult story, BookOptions? options = null, double dpi = 300, int largestFactor = 2,
        StoryOptions? drawing = null, IProgress<GenerationProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(pipeline);
        ArgumentNullException.ThrowIfNull(story);
        ArgumentOutOfRangeException.ThrowIfLessThan(largestFactor, 1);
        var factor = (int)Math.Min(largestFactor, Math.Ceiling(dpi / From(story).Resolution(options)));
        if (factor < 2)
        {
            return null;
        }

        var image = story.Scenes[0].Image;
        drawing ??= new StoryOptions();
        return await pipeline.RefineStoryAsync(
            story,
            options: drawing with
            {
                Request = (drawing.Request ?? new GenerationRequest()) with
                {
                    Width = factor * image.Width, Height = factor * image.Height,
                },
            },
            progress: progress,
            cancellationToken: cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Whether the book is read from right to left.</summary>
    internal bool IsRightToLeft(BookOptions options) =>
        options.RightToLeft ?? FromRight.Contains(Language.Split('-')[0].ToLowerInvariant());

    private void Check()
    {
        if (Panels is not { Count: > 0 })
        {
            throw new ArgumentException("The book has no images; Panels needs at least one.");
        }

        CheckText("title", Title ?? throw new ArgumentException("The title is null; it is empty for none."));
        CheckText("author", Author);
        if (Language is not { Length: > 0 } || !Language.All(letter => char.IsAsciiLetterOrDigit(letter) || letter == '-'))
        {
            throw new ArgumentException($"The language is '{Language}'; a BCP 47 tag was expected, such as en or pt-BR.");
        }

        foreach (var (i, panel) in Panels.Index())
        {
            CheckText($"caption of panel {i + 1}", panel.Caption);
            CheckText($"description of panel {i + 1}", panel.Description);
            foreach (var line in panel.Dialogue)
            {
                CheckText($"dialogue of panel {i + 1}", line.Who);
                CheckText($"dialogue of panel {i + 1}", line.Says);
                if (string.IsNullOrWhiteSpace(line.Says))
                {
                    throw new ArgumentException($"The dialogue of panel {i + 1} has a line that says nothing; leave it out.");
                }
            }
        }
    }

    /// <summary>Refuses what no font shows and no XML holds.</summary>
    private static void CheckText(string what, string? text)
    {
        if (text?.Length > MostCharacters)
        {
            throw new ArgumentException(FormattableString.Invariant(
                $"The {what} has {text.Length} characters; a book shows up to {MostCharacters} in one place. Shorten it."));
        }

        for (var i = 0; i < text?.Length;)
        {
            if (Rune.DecodeFromUtf16(text.AsSpan(i), out var rune, out var length) != System.Buffers.OperationStatus.Done
                || (Rune.IsControl(rune) && rune.Value != '\n') || (rune.IsBmp && !XmlConvert.IsXmlChar((char)rune.Value)))
            {
                throw new ArgumentException(FormattableString.Invariant(
                    $"The {what} has the character U+{(int)text[i]:X4} at {i + 1}, which is no text; take it out."));
            }

            i += length;
        }
    }
}
