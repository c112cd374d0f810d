using System.CommandLine;
using System.IO.Compression;
using System.Text.Json;
using System.Text.Json.Nodes;
using StorySync.Books;
using StorySync.Documents;
using StorySync.Pipelines;
using StorySync.Samples;

namespace StorySync.Tool;

/// <summary>Makes a book of a story, or packs its images, and as JSON what they were made with.</summary>
internal static class ExportCommand
{
    private const double PrintDpi = 300;

    // The same pictures give the same archive; a ZIP file knows no time before this one.
    private static readonly DateTimeOffset Time = new(1980, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private const string Zip = "zip";

    public static Command Create(Option<bool> json)
    {
        var folder = new Argument<string>("folder") { Description = "A folder that `storysync story` wrote." };
        var output = CommandLine.Name("--output", "The file to write. [default: story and the format]", null, "-o");
        var format = CommandLine.Choice(
            "--format", "What is written: pdf for print, epub, cbz or html as a book, or zip with the images and a story.json that says "
                + "what each shows and was made with. [default: as --output ends, else zip]",
            [Zip, .. Words<BookFormat>()]);
        format.DefaultValueFactory = null;
        var layout = CommandLine.Choice("--layout", "Of a book: how images stand on its pages.", Words<BookLayout>());
        var trim = CommandLine.Name(
            "--trim", "Of a book: the size of a page in millimeters, such as 148x210. [default: as it suits the layout]");
        var story = CommandLine.Name(
            "--story", "Of a book: the YAML or JSON file of the story, for title, captions and dialogue. [default: prompts as captions]");
        var command = new Command("export", "Make a book of a story, or pack it into a ZIP file.")
        {
            folder, output, format, layout, trim, story,
        };
        command.Does(json, "nothing was written.", (parsed, results, _, token) =>
        {
            var kind = parsed.GetValue(format) ?? FormatOf(parsed.GetValue(output));
            var name = parsed.GetValue(output) ?? $"story.{kind}";
            var path = Path.GetFullPath(name);
            if (kind == Zip && new Option[] { layout, trim, story }.FirstOrDefault(parsed.IsGiven) is { } other)
            {
                throw new UserErrorException($"{other.Name} is of books; give a --format of them, or leave it out.");
            }

            var options = new BookOptions
            {
                Layout = Enum.Parse<BookLayout>(parsed.GetValue(layout)!, ignoreCase: true), Trim = TrimOf(parsed.GetValue(trim)),
            };
            var target = OutputFolder.Open("--output", Path.GetDirectoryName(path)!);
            var (bytes, scenes, dpi) = kind == Zip ? Archive(parsed.GetValue(folder)!, token)
                : Book(parsed.GetValue(folder)!, parsed.GetValue(story), kind, options);
            target.Write(path, bytes);
            results.Write(
                new { File = name, Scenes = scenes, Bytes = bytes.Length, Dpi = dpi },
                console =>
                {
                    console.WriteLine($"Wrote {English.Count(scenes, "scene")} to {name}, {ProcessMemory.Size(bytes.Length)}");
                    if (kind == "pdf" && dpi < PrintDpi)
                    {
                        console.WriteLine($"The images have {dpi} pixels per inch; {PrintDpi} are usual for print. `storysync story "
                            + "--hires` draws them larger.");
                    }
                });
            return Task.CompletedTask;
        });
        return command;
    }

    private static string[] Words<T>()
        where T : struct, Enum => [.. Enum.GetNames<T>().Select(name => name.ToLowerInvariant())];

    private static string FormatOf(string? output) =>
        Path.GetExtension(output)?.TrimStart('.').ToLowerInvariant() is { } ending && Words<BookFormat>().Contains(ending) ? ending : Zip;

    private static PageSize? TrimOf(string? text)
    {
        if (text is null)
        {
            return null;
        }

        var sides = text.Split('x');
        var range = new NumberRange(30, 1000);
        return sides.Length == 2 ? new PageSize(range.Parse("--trim", sides[0]), range.Parse("--trim", sides[1]))
            : throw new UserErrorException($"--trim is '{text}'; width and height in millimeters were expected, such as 148x210.");
    }

    private static (byte[] Bytes, int Scenes, double? Dpi) Book(string folder, string? story, string kind, BookOptions options)
    {
        var book = StoryPages.Read(folder, story is null ? null : StoryFile.Load(story));
        return (book.ToBytes(Enum.Parse<BookFormat>(kind, ignoreCase: true), options), book.Panels.Count,
            Math.Round(book.Resolution(options)));
    }

    private static (byte[] Bytes, int Scenes, double? Dpi) Archive(string folder, CancellationToken token)
    {
        var scenes = StoryFolder.Scenes(folder);
        var strip = Path.Combine(folder, StoryImages.Strip);
        var files = (File.Exists(strip) ? scenes.Append(strip) : scenes)
            .Select(file => (Path: file, Bytes: ImageFile.Read(file, File.ReadAllBytes))).ToList();
        using var archive = new MemoryStream();
        using (var zip = new ZipArchive(archive, ZipArchiveMode.Create, leaveOpen: true))
        {
            Add(zip, "story.json", System.Text.Encoding.UTF8.GetBytes(Describe(files.Take(scenes.Count))));
            foreach (var (file, bytes) in files)
            {
                token.ThrowIfCancellationRequested();
                Add(zip, Path.GetFileName(file), bytes);
            }
        }

        return (archive.ToArray(), scenes.Count, null);
    }

    private static string Describe(IEnumerable<(string Path, byte[] Bytes)> scenes) => ResultWriter.ToJson(new
    {
        StoryImages.Software,
        Scenes = scenes.Select(scene =>
        {
            try
            {
                var texts = RgbImage.ReadPngText(scene.Bytes);
                var parameters = texts.GetValueOrDefault("parameters");
                return new
                {
                    File = Path.GetFileName(scene.Path),
                    Prompt = StoryFolder.PromptIn(parameters),
                    Parameters = parameters,
                    Origin = texts.TryGetValue(ImageOrigin.Keyword, out var origin) ? JsonNode.Parse(origin) : null,
                };
            }
            catch (Exception exception) when (exception is JsonException or InvalidDataException)
            {
                throw new UserErrorException($"What '{scene.Path}' says of itself cannot be read: {exception.Message}", exception);
            }
        }),
    });

    private static void Add(ZipArchive zip, string name, byte[] bytes)
    {
        // Pictures are compressed already.
        var entry = zip.CreateEntry(name, name.EndsWith(".png", StringComparison.Ordinal)
            ? CompressionLevel.NoCompression : CompressionLevel.Optimal);
        entry.LastWriteTime = Time;
        using var stream = entry.Open();
        stream.Write(bytes);
    }
}
