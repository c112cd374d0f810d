using System.CommandLine;
using System.IO.Compression;
using System.Text.Json;
using System.Text.Json.Nodes;
using StorySync.Documents;
using StorySync.Pipelines;
using StorySync.Samples;

namespace StorySync.Tool;

/// <summary>Packs a story: its images, and as JSON what they were made with.</summary>
internal static class ExportCommand
{
    // The same pictures give the same archive; a ZIP file knows no time before this one.
    private static readonly DateTimeOffset Time = new(1980, 1, 1, 0, 0, 0, TimeSpan.Zero);

    public static Command Create(Option<bool> json)
    {
        var folder = new Argument<string>("folder") { Description = "A folder that `storysync story` wrote." };
        var output = CommandLine.Name("--output", "The file to write.", "story.zip", "-o");
        var command = new Command(
            "export", "Pack a story into a ZIP file: the pictures of its scenes, the strip, and a story.json that says what each picture "
                + "shows and was made with.")
        {
            folder, output,
        };
        command.Does(json, "nothing was written.", (parsed, results, _, token) =>
        {
            var scenes = StoryFolder.Scenes(parsed.GetValue(folder)!);
            var strip = Path.Combine(parsed.GetValue(folder)!, StoryImages.Strip);
            var path = Path.GetFullPath(parsed.GetValue(output)!);
            var target = OutputFolder.Open("--output", Path.GetDirectoryName(path)!);
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

            target.Write(path, archive.ToArray());
            results.Write(
                new { File = parsed.GetValue(output), Scenes = scenes.Count, Bytes = archive.Length },
                console => console.WriteLine(
                    $"Wrote {English.Count(scenes.Count, "scene")} to {parsed.GetValue(output)}, {ProcessMemory.Size(archive.Length)}"));
            return Task.CompletedTask;
        });
        return command;
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
