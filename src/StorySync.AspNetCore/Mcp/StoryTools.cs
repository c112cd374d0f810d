using System.ComponentModel;
using ModelContextProtocol;
using ModelContextProtocol.Protocol;
using ModelContextProtocol.Server;
using StorySync.Books;
using StorySync.Cluster;
using StorySync.Pipelines;

namespace StorySync.AspNetCore;

/// <summary>What an assistant can do with stories. The descriptions are read by its model.</summary>
[McpServerToolType]
internal sealed class StoryTools(IStoryService stories, StoryBody body)
{
    private const string IdOf = "The id that make_story returned.";

    [McpServerTool(Name = "make_story")]
    [Description("Draws a story: one image for each scene, in which the characters look the same. Returns the story's id and the images. "
        + "The id is for add_scene, redraw_scene and export_book.")]
    public Task<IEnumerable<ContentBlock>> MakeStoryAsync(
        [Description("One prompt for each scene, in English, which names the characters: \"Mia waving at the beach\".")]
        string[] scenes,
        [Description("What each character looks like, by name: {\"Mia\": \"a yellow rabbit with a red scarf\"}.")]
        Dictionary<string, string> characters,
        IProgress<ProgressNotificationValue> progress,
        [Description("The seed; the same one draws the same images. Random if absent.")] long? seed = null,
        [Description("The number of denoising steps. The model's if absent.")] int? steps = null,
        [Description("The width of the images in pixels. The model's if absent.")] int? width = null,
        [Description("The height of the images in pixels. The model's if absent.")] int? height = null,
        CancellationToken cancellationToken = default) => Tell(async () =>
        {
            var document = body.Check(new StoryDocument
            {
                Story = new Story
                {
                    Cast = [.. characters.Select(one => new Character(one.Key, one.Value))],
                    Scenes = [.. scenes.Select(prompt => new Scene(prompt))],
                },
                Options = new() { Request = new() { Seed = seed, Steps = steps, Width = width, Height = height } },
            });
            var id = (await stories.CreateAsync(document, cancellationToken)).Id;
            try
            {
                return await EndAsync(id, all => all, progress, cancellationToken);
            }
            catch (OperationCanceledException)
            {
                await stories.DeleteAsync(id, CancellationToken.None);
                throw;
            }
        });

    [McpServerTool(Name = "add_scene")]
    [Description("Draws a further scene of a story, with the same characters. Returns its image.")]
    public Task<IEnumerable<ContentBlock>> AddSceneAsync(
        [Description(IdOf)] string story,
        [Description("The prompt of the scene.")] string prompt,
        IProgress<ProgressNotificationValue> progress,
        CancellationToken cancellationToken = default) => Tell(async () =>
        {
            await stories.AddScenesAsync(story, [new Scene(prompt)], cancellationToken);
            return await EndAsync(story, all => [all[^1]], progress, cancellationToken);
        });

    [McpServerTool(Name = "redraw_scene")]
    [Description("Draws a scene of a story again, with another seed or another prompt; all others stay as they are. Returns its image. "
        + "The first two scenes are what the others take the characters from, and cannot be drawn again.")]
    public Task<IEnumerable<ContentBlock>> RedrawSceneAsync(
        [Description(IdOf)] string story,
        [Description("The scene, counted from 0.")] int scene,
        IProgress<ProgressNotificationValue> progress,
        [Description("The new prompt; the same one if absent.")] string? prompt = null,
        CancellationToken cancellationToken = default) => Tell(async () =>
        {
            await stories.RedrawAsync(story, scene, prompt is null ? null : new Scene(prompt), cancellationToken);
            return await EndAsync(story, all => [all[scene]], progress, cancellationToken);
        });

    [McpServerTool(Name = "export_book")]
    [Description("Makes a book of a story whose scenes are drawn. Returns the file.")]
    public Task<IEnumerable<ContentBlock>> ExportBookAsync(
        [Description(IdOf)] string story,
        [Description("The format of the file.")] BookFormat format = BookFormat.Pdf,
        [Description("How the images stand on the pages.")] BookLayout layout = BookLayout.Single,
        [Description("The title; without one there is no page for it.")] string title = "",
        [Description("The text below each image, in the order of the scenes. None if absent.")] string[]? captions = null,
        CancellationToken cancellationToken = default) => Tell<IEnumerable<ContentBlock>>(async () =>
        {
            var panels = new List<BookPanel>();
            foreach (var scene in (await stories.GetAsync(story, cancellationToken)).Scenes)
            {
                panels.Add(new BookPanel(RgbImage.Decode(await ReadAsync(story, scene.Index, cancellationToken)))
                {
                    Description = scene.Prompt,
                    Caption = captions?.ElementAtOrDefault(scene.Index),
                });
            }

            var file = new StoryBook { Title = title, Panels = panels }.ToBytes(format, new BookOptions { Layout = layout });
            var (extension, mediaType) = format switch
            {
                BookFormat.Epub => ("epub", "application/epub+zip"),
                BookFormat.Cbz => ("cbz", "application/vnd.comicbook+zip"),
                BookFormat.Html => ("html", "text/html"),
                _ => ("pdf", "application/pdf"),
            };
            return
            [
                new EmbeddedResourceBlock
                {
                    Resource = BlobResourceContents.FromBytes(file, $"storysync://stories/{story}/book.{extension}", mediaType),
                },
            ];
        });

    /// <summary>The messages of other exceptions are kept from the client.</summary>
    private static async Task<T> Tell<T>(Func<Task<T>> act)
    {
        try
        {
            return await act();
        }
        catch (Exception exception) when (
            exception is InvalidOperationException and not ObjectDisposedException || Failure.Of(exception) is not null)
        {
            throw new McpException(Failure.Of(exception)?.Message ?? exception.Message, exception);
        }
    }

    private async Task<IEnumerable<ContentBlock>> EndAsync(
        string id, Func<IReadOnlyList<SceneStatus>, IReadOnlyList<SceneStatus>> choose, IProgress<ProgressNotificationValue> progress,
        CancellationToken cancellationToken)
    {
        StoryStatus? last = null;
        await foreach (var update in stories.WatchAsync(id, cancellationToken))
        {
            last = update.Status ?? last;
            if (update.Status is { Scenes: var all })
            {
                var drawn = all.Count(scene => scene.State == StoryState.Finished);
                progress.Report(new() { Progress = drawn, Total = all.Count, Message = $"{drawn} of {all.Count} scenes are drawn." });
            }
        }

        var scenes = choose(last!.Scenes);
        if (last.State != StoryState.Finished)
        {
            throw new McpException(
                last.Error ?? scenes.FirstOrDefault(scene => scene.Error is not null)?.Error ?? "The story was deleted.");
        }

        var blocks = new List<ContentBlock> { new TextContentBlock { Text = $"Story {id}" } };
        foreach (var scene in scenes)
        {
            blocks.Add(new TextContentBlock { Text = $"Scene {scene.Index}: {scene.Prompt} (seed {scene.Takes[^1].Seed})" });
            blocks.Add(ImageContentBlock.FromBytes(await ReadAsync(id, scene.Index, cancellationToken), "image/png"));
        }

        return blocks;
    }

    private async Task<byte[]> ReadAsync(string id, int scene, CancellationToken cancellationToken)
    {
        await using var image = await stories.OpenImageAsync(id, scene, cancellationToken: cancellationToken);
        using var file = new MemoryStream();
        await image.CopyToAsync(file, cancellationToken);
        return file.ToArray();
    }
}
