using System.Reflection;
using System.Text.RegularExpressions;
using StorySync.Pipelines;

namespace StorySync.Samples;

/// <summary>The images of a run as PNG files, and in each what it was made with.</summary>
/// <param name="settings">The run's settings.</param>
internal sealed partial class StoryImages(StorySettings settings)
{
    public const string Strip = "strip.png";
    public const string Title = "StorySync";

    /// <summary>This program's name and version.</summary>
    public static readonly string Software =
        $"StorySync "
            + $"{typeof(DiffusionPipeline).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0]}";

    /// <summary>The file of a scene, from 0.</summary>
    public static string Scene(int index) => $"scene-{index + 1}.png";

    private readonly Dictionary<string, byte[]> files = new(StringComparer.Ordinal);

    /// <summary>Adds the scenes of a story, and their masks if they are asked for.</summary>
    /// <param name="name">How the files' names begin.</param>
    /// <param name="scenes">The scenes.</param>
    /// <param name="origin">What they were made with; null if it does not make them again.</param>
    /// <param name="first">The number of scenes before.</param>
    public void Add(string name, IReadOnlyList<SceneResult> scenes, ImageOrigin? origin, int first = 0)
    {
        foreach (var (i, scene) in scenes.Index())
        {
            Add($"{name}-{first + i + 1}.png", scene.Image, origin is null ? null : origin with
            {
                Story = origin.Story! with { Row = name, Scene = i },
            });
            for (var s = 0; settings.WithMasks && s < scene.Subjects.Count; s++)
            {
                if (scene.Subjects[s].Region is { } mask)
                {
                    Add($"{name}-{first + i + 1}-mask-{s + 1}.png", mask.ToImage(scene.Image.Width, scene.Image.Height));
                }
            }
        }
    }

    /// <summary>Adds the previews of a story's scenes, in their size.</summary>
    /// <param name="previews">The previews.</param>
    /// <param name="result">The story.</param>
    /// <param name="first">The number of scenes before.</param>
    public void AddPreviews(IEnumerable<ScenePreview> previews, StoryResult result, int first = 0)
    {
        foreach (var (scene, step, preview) in previews.Where(preview => preview.Scene >= settings.Images))
        {
            var image = result.Scenes[scene].Image;
            Add($"preview-{first + scene + 1 - settings.Images}-{step}.png", preview.Resize(image.Width, image.Height));
        }
    }

    /// <summary>Adds the strip of one or more stories.</summary>
    public void AddStrip(IReadOnlyList<(string Title, IReadOnlyList<SceneResult> Scenes)> rows) =>
        Add(Strip, Marked(Samples.Strip.Draw(rows)));

    /// <summary>Adds the strip of a story's images.</summary>
    public void AddStrip(IReadOnlyList<RgbImage> images) => Add(
        Strip, Marked(Samples.Strip.Draw([(Title, images)], [.. settings.Story.Scenes.Select(scene => scene.Prompt)])));

    /// <summary>Writes the files. Where all scenes were drawn, files of an earlier, longer story go: they would pass for scenes of this
    /// one.</summary>
    /// <exception cref="UserErrorException">A file cannot be written.</exception>
    public void WriteTo(OutputFolder folder)
    {
        foreach (var (name, bytes) in files)
        {
            folder.Write(name, bytes);
        }

        if (settings.Redraw is not null)
        {
            return;
        }

        foreach (var path in Directory.EnumerateFiles(folder.Path, "*.png").ToArray())
        {
            if (SceneFile().IsMatch(Path.GetFileName(path)) && !files.ContainsKey(Path.GetFileName(path)) && IsOurs(path))
            {
                File.Delete(path);
            }
        }
    }

    /// <summary>A strip is made of images of a model's.</summary>
    private static RgbImage Marked(RgbImage strip) => strip.WithProvenance(new ImageProvenance());

    private static bool IsOurs(string path)
    {
        try
        {
            return RgbImage.ReadPngText(path).TryGetValue("Software", out var software)
                && software.StartsWith("StorySync ", StringComparison.Ordinal);
        }
        catch (InvalidDataException)
        {
            // Something else by that name.
            return false;
        }
    }

    private void Add(string name, RgbImage image, ImageOrigin? origin = null) => files[name] = Encode(image, origin);

    /// <summary>An image as a PNG file that says what it was made with.</summary>
    public static byte[] Encode(RgbImage image, ImageOrigin? origin)
    {
        var texts = new Dictionary<string, string> { ["Software"] = Software };
        origin?.AddTo(texts);
        return image.EncodePng(texts);
    }

    [GeneratedRegex(@"^((scene|plain|large)-\d+(-mask-\d+)?|preview-\d+-\d+)\.png$")]
    private static partial Regex SceneFile();
}
