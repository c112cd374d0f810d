using System.Text.RegularExpressions;
using StorySync.Attention;
using StorySync.Pipelines;

namespace StorySync.Samples.StoryStrip;

/// <summary>Makes the story, with and without StorySync, and writes its images.</summary>
internal sealed partial class StoryRun(StorySettings settings, TextWriter console, TextWriter error)
{
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var folder = OutputFolder.Open("--output", settings.Output);
        using var pipeline = await ModelLoading.LoadAsync(settings, error, cancellationToken);
        var options = settings.Options with { Techniques = settings.Options.Techniques!.Over(pipeline.DefaultTechniques) };
        var off = options with { Techniques = StoryAttentionOptions.Disabled.Over(options.Techniques) };

        using var bank = settings.Bank is { } path ? StoryBank.Load(path) : null;
        if (bank is null && settings.Pipeline.ChecksMemory
            && ProcessMemory.Misfit(pipeline.PlanMemory(settings.Story, options)) is { } misfit)
        {
            throw new UserErrorException(
                $"The story does not fit into memory: {misfit}. --plan says what would reduce it, --no-memory-check goes on regardless.");
        }

        var previews = new List<GenerationProgress>();
        StoryResult? plain = null, story = null;
        try
        {
            await using (var display = Display.Start(error))
            {
                plain = settings.WithPlain
                    ? await MakeAsync(pipeline, null, off with { Anchors = null }, display.Progress("plain model"), cancellationToken)
                    : null;
                var progress = new PreviewKeeper(display.Progress("StorySync"), previews);
                story = await MakeAsync(pipeline, bank, options, progress, cancellationToken);
            }

            var files = new StoryImages(settings, pipeline);
            files.AddPreviews(previews, story);
            Write(folder, files, plain, off, story, options);
            if (settings.SaveBank is { } saved)
            {
                story.Bank!.Save(saved, cancellationToken);
                console.WriteLine($"Bank: {saved}");
            }
        }
        finally
        {
            plain?.Dispose();
            story?.Dispose();
        }
    }

    private async Task<StoryResult> MakeAsync(
        DiffusionPipeline pipeline, StoryBank? bank, StoryOptions options, IProgress<GenerationProgress> progress,
        CancellationToken cancellationToken)
    {
        try
        {
            return bank is not null
                ? await pipeline.GenerateScenesAsync(bank, settings.Story.Scenes, options, progress, cancellationToken)
                : await pipeline.GenerateStoryAsync(settings.Story, options, progress, cancellationToken);
        }
        catch (Exception exception) when (exception is InsufficientMemoryException or NonFiniteException)
        {
            throw new UserErrorException(OptionNames.In(exception.Message), exception);
        }
        catch (ArgumentException exception) when (bank is not null)
        {
            throw new UserErrorException(exception.Message, exception);
        }
        catch (ArgumentException exception) when (OfScene().Match(exception.Message) is { Success: true } match)
        {
            var place = settings.ScenePlaces[int.Parse(match.Groups[1].ValueSpan, System.Globalization.CultureInfo.InvariantCulture) - 1];
            var fault = match.Groups[2].Value.Replace(
                "say so in Scene.Subjects", "give them, or give null for it in the scene's 'subjects', in a story file",
                    StringComparison.Ordinal);
            throw new UserErrorException($"{(place.Length > 0 ? place : $"Scene {match.Groups[1].Value}")}: {fault}", exception);
        }
    }

    private void Write(
        OutputFolder folder, StoryImages files, StoryResult? plain, StoryOptions off, StoryResult story, StoryOptions options)
    {
        if (plain is not null)
        {
            files.Add("plain", plain, off);
        }

        files.Add("scene", story, options);
        files.AddStrip(plain is null ? [("StorySync", story)] : [("plain", plain), ("StorySync", story)]);
        files.WriteTo(folder);
        foreach (var warning in story.Warnings)
        {
            error.WriteLine($"Warning: {OptionNames.In(warning.Message)}");
        }

        console.WriteLine($"Wrote {English.Count(story.Scenes.Count, "scene")} to {folder.Path}");
        console.WriteLine($"Strip: {Path.Combine(folder.Path, StoryImages.Strip)}");
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
}
