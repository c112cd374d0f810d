using System.Globalization;
using System.Text.RegularExpressions;
using StorySync.Attention;
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

        using var pipeline = await ModelOptions.LoadAsync(settings.Model, settings.Pipeline, error, cancellationToken);
        var options = OptionsFor(pipeline);

        // Plain scenes depend on nothing; they run in batches where those of the story do.
        var off = options with
        {
            Techniques = StoryAttentionOptions.Disabled.Over(options.Techniques!), Anchors = settings.Bank is null ? options.Anchors : 1,
        };
        if (settings.Bank is null)
        {
            await CheckFitsAsync(pipeline);
        }

        var previews = new List<GenerationProgress>();
        StoryResult? plain = null, story = null;
        try
        {
            await using (var display = Display.Start(error))
            {
                var progress = new PreviewKeeper(display.Progress(StoryImages.Title), previews);
                story = await DrawAsync(pipeline, settings.Story.Scenes, 0, options, progress, cancellationToken);
                plain = settings.WithPlain
                    ? await GuardedAsync(
                        0, () => pipeline.GenerateStoryAsync(settings.Story, off, display.Progress("plain model"), cancellationToken))
                    : null;
            }

            var files = new StoryImages(settings);
            files.AddPreviews(previews, story);
            if (plain is not null)
            {
                files.Add("plain", plain);
            }

            files.Add("scene", story);
            files.AddStrip(plain is null ? [(StoryImages.Title, story)] : [("plain", plain), (StoryImages.Title, story)]);
            Write(folder, files, story);
        }
        finally
        {
            plain?.Dispose();
            story?.Dispose();
        }
    }

    /// <summary>Draws one scene again; the pictures of the others stay.</summary>
    private async Task RedrawAsync(OutputFolder folder, int index, KeptScenes kept, CancellationToken cancellationToken)
    {
        using var pipeline = await ModelOptions.LoadAsync(settings.Model, settings.Pipeline, error, cancellationToken);
        var options = OptionsFor(pipeline);
        var scene = settings.Story.Scenes[index] with { Seed = settings.RedrawSeed ?? kept.LargestSeed + 1 };
        var previews = new List<GenerationProgress>();
        StoryResult result;
        await using (var display = Display.Start(error))
        {
            result = await DrawAsync(
                pipeline, [scene], index, options, new PreviewKeeper(display.Progress(StoryImages.Title), previews), cancellationToken);
        }

        using (result)
        {
            var files = new StoryImages(settings);
            files.AddPreviews(previews, result, index);
            files.Add("scene", result, index);
            files.AddStrip(kept.With(index, result.Scenes[0].Image));
            Write(folder, files, result, index);
        }
    }

    private StoryOptions OptionsFor(DiffusionPipeline pipeline) =>
        settings.Options with { Techniques = settings.Options.Techniques!.Over(pipeline.DefaultTechniques) };

    private async Task CheckFitsAsync(DiffusionPipeline pipeline)
    {
        var plan = await GuardedAsync(0, () => Task.FromResult(pipeline.PlanMemory(settings.Story, settings.Options)));
        if (settings.Pipeline.ChecksMemory && ProcessMemory.Misfit(plan) is { } misfit)
        {
            throw new UserErrorException(
                $"The story does not fit into memory: {misfit}. --plan says what would reduce it, --no-memory-check goes on regardless.");
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

    private void Write(OutputFolder folder, StoryImages files, StoryResult story, int first = 0)
    {
        if (settings.SaveBank is { } path)
        {
            BankFile.Save(story.Bank!, path);
        }

        files.WriteTo(folder);
        foreach (var warning in story.Warnings)
        {
            error.WriteLine($"Warning: {OptionNames.In(warning.Message)}");
        }

        var strip = Path.Combine(folder.Path, StoryImages.Strip);
        results.Write(
            new
            {
                Folder = folder.Path,
                Scenes = story.Scenes.Select((scene, i) => new
                {
                    File = Path.Combine(folder.Path, StoryImages.Scene(first + i)), scene.Prompt, scene.Seed, scene.Consistency,
                }),
                Strip = strip,
                Bank = settings.SaveBank,
                Warnings = story.Warnings.Select(warning => OptionNames.In(warning.Message)),
                Seconds = Math.Round(story.Timings.Total.TotalSeconds, 3),
            },
            console =>
            {
                console.WriteLine($"Wrote {English.Count(story.Scenes.Count, "scene")} to {folder.Path}");
                console.WriteLine($"Strip: {strip}");
                if (settings.SaveBank is not null)
                {
                    console.WriteLine($"Bank: {settings.SaveBank}, {story.Bank!.Describe()}");
                }
            });
    }

    /// <summary>Keeps the reports that carry previews, and hands on all.</summary>
    private sealed class PreviewKeeper(IProgress<GenerationProgress> next, List<GenerationProgress> kept) : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value)
        {
            next.Report(value);
            if (value.Previews is not null)
            {
                kept.Add(value);
            }
        }
    }

    [GeneratedRegex(@"^Scene (\d+): (.*)$", RegexOptions.Singleline)]
    private static partial Regex OfScene();

    [GeneratedRegex(@"^The bank was made with (pipeline|model|LoRAs) ")]
    private static partial Regex OfAnotherModel();
}
