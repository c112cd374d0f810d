using StorySync.Books;
using StorySync.Documents;
using StorySync.Pipelines;
using StorySync.Samples;

namespace StorySync.Tool;

/// <summary>The book of a story's folder: its scenes, where their subjects are, and what a story file tells and says.</summary>
internal static class StoryPages
{
    /// <summary>Reads the book.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="story">The story file, for captions and dialogue; null for the prompts as captions.</param>
    /// <exception cref="UserErrorException">The folder has no story, or another one.</exception>
    public static StoryBook Read(string folder, StoryFile? story)
    {
        var scenes = StoryFolder.Scenes(folder);
        if (story is not null && story.Scenes.Count != scenes.Count)
        {
            throw new UserErrorException(
                $"--story has {English.Count(story.Scenes.Count, "scene")}, but '{folder}' has {scenes.Count}; give the story that it was "
                    + "drawn of.");
        }

        var panels = scenes.Select((path, i) => Panel(folder, path, i, story)).ToList();
        return story?.Scenes.Any(scene => scene.Dialogue.Count > 0) == true && panels.TrueForAll(panel => panel.Figures.Count == 0)
            ? throw new UserErrorException(
                $"The story has dialogue, but '{folder}' has no masks, by which speech bubbles leave faces free; draw it with --masks.")
            : new StoryBook
            {
                Title = story?.Title ?? "", Author = story?.Author, Language = story?.Language ?? "en", Panels = panels,
            };
    }

    private static BookPanel Panel(string folder, string path, int index, StoryFile? story)
    {
        // What was drawn a second time, larger, is finer.
        var large = Path.Combine(folder, $"large-{index + 1}.png");
        var image = ImageFile.Read(File.Exists(large) ? large : path, file => RgbImage.Load(file));
        var texts = ImageFile.Read(path, file => RgbImage.ReadPngText(file));
        var prompt = StoryFolder.PromptIn(texts.GetValueOrDefault("parameters"));
        var scene = story?.Scenes[index];
        return new BookPanel(image)
        {
            Caption = story is null ? prompt : scene!.Caption,
            Description = prompt,
            Dialogue = [.. (scene?.Dialogue ?? []).Select(line => new BookLine(line.Who, line.Says))],
            Figures = [.. Figures(folder, index, texts, story)],
        };
    }

    private static IEnumerable<BookFigure> Figures(
        string folder, int index, IReadOnlyDictionary<string, string> texts, StoryFile? story)
    {
        var told = story is { Subjects.Count: 0, Cast.Count: 0 } ? null : story?.ToStory();
        told ??= texts.TryGetValue(ImageOrigin.Keyword, out var origin) ? ImageOrigin.Parse(origin).Story?.Story : null;
        IReadOnlyList<Subject> subjects = told?.ExpandCast().Subjects ?? [];
        for (var s = 0; s < subjects.Count; s++)
        {
            var path = Path.Combine(folder, $"scene-{index + 1}-mask-{s + 1}.png");
            if (File.Exists(path))
            {
                var mask = ImageFile.Read(path, file => RgbImage.Load(file), what: "mask");
                var cells = new bool[mask.Width * mask.Height];
                for (var i = 0; i < cells.Length; i++)
                {
                    cells[i] = mask.Pixels[i * 3] >= 128;
                }

                yield return new BookFigure(
                    StoryBook.NamesOf(subjects[s], told!.Cast), new SubjectRegion(mask.Width, mask.Height, cells));
            }
        }
    }
}
