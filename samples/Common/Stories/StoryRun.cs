using System.Globalization;
using System.Text.RegularExpressions;
using StorySync.Attention;
using StorySync.Documents;
using StorySync.Pipelines;

namespace StorySync.Samples;

/// <summary>Makes the story, with and without StorySync, and writes its images.</summary>
internal sealed partial class StoryRun(StorySettings settings, ResultWriter results, TextWriter error)
{
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var folder = OutputFolder.Open("--output", settings.Output);
        if (settings.SaveBank is not null)
        {
            BankFile.CheckWritable(settings.SaveBank);
        }

        if (settings.Redraw is { } index)
        {
            await RedrawAsync(folder, index, KeptScenes.Load(folder, settings.Story.Scenes.Count, index), cancellationToken);
            return;
        }

        using var pipeline = await ModelOptions.LoadAsync(
            settings.Model, settings.Pipeline, settings.Additions, error, cancellationToken);
        settings.From?.Check(pipeline, settings.Model);
        var options = OptionsFor(pipeline);
        CheckStrength(pipeline);

        // Plain scenes depend on nothing; they run in batches where those of the story do.
        var off = options with
        {
            Techniques = StoryAttentionOptions.Disabled.Over(options.Techniques!), Anchors = settings.Bank is null ? options.Anchors : 1,
        };
        if (settings.Bank is null)
        {
            await CheckFitsAsync(pipeline);
        }

        StoryResult? plain = null, story = null, large = null;
        try
        {
            PreviewKeeper previews;
            await using (var display = Display.Start(error))
            {
                previews = new PreviewKeeper(display.Progress(StoryImages.Title));
                story = await DrawAsync(pipeline, settings.Story.Scenes, 0, options, previews, cancellationToken);
                large = settings.Hires is null
                    ? null : await EnlargeAsync(pipeline, story, options, display.Progress("enlarged"), cancellationToken);
                plain = settings.WithPlain
                    ? await GuardedAsync(
                        0, () => pipeline.GenerateStoryAsync(settings.Story, off, display.Progress("plain model"), cancellationToken))
                    : null;
            }

            var files = new StoryImages(settings);
            files.AddPreviews(previews.Previews, story);
            var origin = OriginOf(pipeline, settings.Story, options);
            if (plain is not null)
            {
                files.Add("plain", Drawn(plain), origin);
            }

            files.Add("scene", Drawn(story), origin);
            if (large is not null)
            {
                files.Add("large", Drawn(large), origin);
            }

            files.AddStrip(
                [.. plain is null ? [] : new[] { ("plain", Drawn(plain)) }, (StoryImages.Title, Drawn(story))]);
            Write(folder, files, story, large, comparison: Compare(plain, story, large));
        }
        finally
        {
            large?.Dispose();
            plain?.Dispose();
            story?.Dispose();
        }
    }

    /// <summary>Draws one scene again; the images of the others stay.</summary>
    private async Task RedrawAsync(OutputFolder folder, int index, KeptScenes kept, CancellationToken cancellationToken)
    {
        using var pipeline = await ModelOptions.LoadAsync(
            settings.Model, settings.Pipeline, settings.Additions, error, cancellationToken);
        var options = OptionsFor(pipeline);
        var scene = settings.Story.Scenes[index] with { Seed = settings.RedrawSeed ?? kept.LargestSeed + 1 };
        PreviewKeeper previews;
        StoryResult result;
        await using (var display = Display.Start(error))
        {
            previews = new PreviewKeeper(display.Progress(StoryImages.Title));
            result = await DrawAsync(pipeline, [scene], index, options, previews, cancellationToken);
        }

        using (result)
        {
            var files = new StoryImages(settings);
            files.AddPreviews(previews.Previews, result, index);
            files.Add("scene", result.Scenes, OriginOf(pipeline, settings.Story with { Scenes = [scene] }, options), index);
            files.AddStrip(kept.With(index, result.Scenes[0].Image));
            Write(folder, files, result, large: null, index);
        }
    }

    /// <summary>What makes the scenes again; null where images of the user's are part of it, which are not for
    /// every file that leaves the machine.</summary>
    private ImageOrigin? OriginOf(DiffusionPipeline pipeline, Story story, StoryOptions options) =>
        settings.Images > 0 ? null : ImageOrigin.Of(pipeline, settings.Model) with
        {
            Story = new StoryOrigin
            {
                Story = story,
                Options = options with { Request = options.Request! with { PreviewInterval = 0 } },
                Bank = settings.Bank is null ? null : ImageOrigin.Identify(settings.Bank),
                Hires = settings.Hires,
                HiresStrength = settings.HiresStrength,
            },
        };

    private ImageComparison? Compare(StoryResult? plain, StoryResult story, StoryResult? large)
    {
        if (settings.From is not { Origin.Story: { } origin } from)
        {
            return null;
        }

        var row = origin.Row switch
        {
            "plain" => plain!,
            "large" => large!,
            _ => story,
        };
        return from.Compare(row.Scenes[origin.Scene].Image);
    }

    private StoryOptions OptionsFor(DiffusionPipeline pipeline) =>
        settings.Options with { Techniques = settings.Options.Techniques!.Over(pipeline.DefaultTechniques) };

    /// <summary>Refuses, before any work, a second time without a step.</summary>
    private void CheckStrength(DiffusionPipeline pipeline)
    {
        if (settings.Hires is null)
        {
            return;
        }

        var (request, size) = (settings.Options.Request!, pipeline.DefaultSize);
        try
        {
            _ = pipeline.PlanMemory(new GenerationRequest
            {
                Prompts = [""],
                Steps = request.Steps,
                Scheduler = request.Scheduler,
                Preset = request.Preset,
                Images = [new RgbImage(size.Width, size.Height, new byte[size.Width * size.Height * 3])],
                Strength = settings.HiresStrength,
            });
        }
        catch (ArgumentException exception)
        {
            throw new UserErrorException($"--hires-strength: {English.OneLine(exception.Message)}", exception);
        }
    }

    private async Task CheckFitsAsync(DiffusionPipeline pipeline)
    {
        var options = settings.PlannedFor(pipeline);
        var plan = await GuardedAsync(0, () => Task.FromResult(pipeline.PlanMemory(settings.Story, options)));
        if (settings.Pipeline.ChecksMemory && ProcessMemory.Misfit(plan) is { } misfit)
        {
            throw new UserErrorException(
                $"The story does not fit into memory: {misfit}. --plan says what would reduce it, --no-memory-check disables this check.");
        }
    }

    /// <param name="pipeline">The model.</param>
    /// <param name="scenes">The scenes.</param>
    /// <param name="first">The first one's index in the story.</param>
    /// <param name="options">How they are drawn.</param>
    /// <param name="progress">Receives the progress.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    private Task<StoryResult> DrawAsync(
        DiffusionPipeline pipeline, IReadOnlyList<Scene> scenes, int first, StoryOptions options, IProgress<GenerationProgress> progress,
        CancellationToken cancellationToken) => settings.Bank is { } bank
            ? GuardedAsync(
                bank.Portraits.Count - first,
                () => pipeline.GenerateScenesAsync(bank, scenes, options, progress, cancellationToken))
            : GuardedAsync(0, () => pipeline.GenerateStoryAsync(settings.Story, options, progress, cancellationToken));

    /// <summary>Has the library work; its faults are told in the user's words.</summary>
    /// <param name="before">How many scenes the library counts before those of the settings.</param>
    /// <param name="work">The work.</param>
    private async Task<T> GuardedAsync<T>(int before, Func<Task<T>> work)
    {
        try
        {
            return await work();
        }
        catch (Exception exception) when (exception is InsufficientMemoryException or NonFiniteException)
        {
            throw new UserErrorException(OptionNames.In(exception.Message), exception);
        }
        catch (ArgumentException exception) when (OfScene().Match(exception.Message) is { Success: true } match)
        {
            var number = int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture) - before;
            var place = settings.ScenePlaces[number - 1];
            var fault = match.Groups[2].Value.Replace(
                "say so in Scene.Subjects", "give them, or give null for it in the scene's 'subjects', in a story file",
                    StringComparison.Ordinal);
            throw new UserErrorException($"{(place.Length > 0 ? place : $"Scene {number}")}: {fault}", exception);
        }
        catch (ArgumentException exception) when (settings.Bank is not null)
        {
            throw new UserErrorException(OfAnotherModel().IsMatch(exception.Message)
                ? $"--bank has the anchors of another model than --model '{settings.Model}'; give the model that made them."
                : $"--bank: {OptionNames.In(exception.Message)}", exception);
        }
    }

    /// <summary>Draws the finished scenes a second time, larger: with a bank, its anchors first.</summary>
    private async Task<StoryResult> EnlargeAsync(
        DiffusionPipeline pipeline, StoryResult story, StoryOptions options, IProgress<GenerationProgress> progress,
        CancellationToken cancellationToken)
    {
        var larger = EnlargedOptions(story, options);
        if (settings.Bank is not { } bank)
        {
            return await GuardedAsync(
                0, () => pipeline.RefineStoryAsync(story, options: larger, progress: progress, cancellationToken: cancellationToken));
        }

        var anchors = larger with { Request = larger.Request! with { Images = bank.Portraits } };
        using var enlarged = await GuardedAsync(
            0, () => pipeline.CreateBankAsync(bank.Card.Story, anchors, progress, cancellationToken));
        RgbImage[] images = [.. story.Scenes.Select(scene => scene.Image)];
        return await GuardedAsync(
            bank.Portraits.Count,
            () => pipeline.GenerateScenesAsync(
                enlarged, story.ToStory().Scenes, larger with { Request = larger.Request! with { Images = images } }, progress,
                cancellationToken));
    }

    private StoryOptions EnlargedOptions(StoryResult story, StoryOptions options) => options with
    {
        Request = settings.Enlarged(options.Request!, story.Scenes[^1].Image.Width, story.Scenes[^1].Image.Height),
    };

    /// <summary>The scenes that were drawn, without the user's images.</summary>
    private IReadOnlyList<SceneResult> Drawn(StoryResult story) => [.. story.Scenes.Skip(settings.Images)];

    private void Write(
        OutputFolder folder, StoryImages files, StoryResult story, StoryResult? large, int first = 0,
        ImageComparison? comparison = null)
    {
        if (settings.SaveBank is { } path)
        {
            BankFile.Save(story.Bank!, path);
        }

        files.WriteTo(folder);
        string[] warnings = [.. story.Warnings.Union(large?.Warnings ?? []).Select(warning => OptionNames.In(warning.Message))];
        foreach (var warning in warnings)
        {
            error.WriteLine($"Warning: {warning}");
        }

        var strip = Path.Combine(folder.Path, StoryImages.Strip);
        results.Write(
            new
            {
                Folder = folder.Path,
                Scenes = Drawn(story).Select((scene, i) => new
                {
                    File = Path.Combine(folder.Path, StoryImages.Scene(first + i)), scene.Prompt, scene.Seed, scene.Consistency,
                }),
                Strip = strip,
                Bank = settings.SaveBank,
                Compared = comparison,
                Warnings = warnings,
                Seconds = Math.Round(story.Timings.Total.TotalSeconds, 3),
            },
            console =>
            {
                console.WriteLine($"Wrote {English.Count(Drawn(story).Count, "scene")} to {folder.Path}");
                console.WriteLine($"Strip: {strip}");
                if (settings.SaveBank is not null)
                {
                    console.WriteLine($"Bank: {settings.SaveBank}, {story.Bank!.Describe()}");
                }

                if (comparison is not null)
                {
                    console.WriteLine(comparison);
                }
            });
    }

    [GeneratedRegex(@"^Scene (\d+): (.*)$", RegexOptions.Singleline)]
    private static partial Regex OfScene();

    [GeneratedRegex(@"^The bank was made with (pipeline|model|LoRAs) ")]
    private static partial Regex OfAnotherModel();
}
