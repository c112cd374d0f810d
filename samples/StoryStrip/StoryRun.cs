using System.Globalization;
using StorySync.Attention;
using StorySync.Pipelines;

namespace StorySync.Samples.StoryStrip;

/// <summary>Makes the story, with and without StorySync, and writes its pictures.</summary>
internal sealed class StoryRun(StorySettings settings)
{
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        await using var display = Display.Start();
        display.Say($"Loading {settings.Model} …");
        using var pipeline = await Task.Run(() => DiffusionPipeline.Load(settings.Model, settings.Pipeline), cancellationToken);
        var stories = new StoryPipeline(pipeline);
        Directory.CreateDirectory(settings.Output);

        var options = settings.Options with { Techniques = settings.Techniques(pipeline.DefaultTechniques) };
        var off = options with { Techniques = StoryAttentionOptions.Off };
        using var plain = settings.WithPlain
            ? await stories.GenerateAsync(settings.Story, off, display.Progress("plain model"), cancellationToken)
            : null;
        using var story = await stories.GenerateAsync(settings.Story, options, display.Progress("StorySync"), cancellationToken);

        if (plain is not null)
        {
            Write("plain", plain, off);
        }

        Write("scene", story, options);
        var strip = Path.Combine(settings.Output, "strip.png");
        Strip.Draw(plain is null ? [("StorySync", story)] : [("plain", plain), ("StorySync", story)]).SavePng(strip);
        display.Say($"Wrote {settings.Story.Scenes.Count} scenes to {settings.Output}");
        display.Say($"Strip: {strip}");
        display.Say($"Time: {Seconds(story)}{(plain is null ? "" : $"; the plain model's: {Seconds(plain)}")}");
    }

    private static string Seconds(StoryResult result) => string.Create(CultureInfo.InvariantCulture, $"{result.Timings.Total.TotalSeconds:f1} s");

    private void Write(string name, StoryResult result, StoryOptions options)
    {
        for (var i = 0; i < result.Scenes.Count; i++)
        {
            var scene = result.Scenes[i];
            var path = Path.Combine(settings.Output, $"{name}-{i + 1}");
            scene.Image.SavePng(path + ".png", new Dictionary<string, string> { ["parameters"] = Parameters(scene, options) });
            for (var s = 0; settings.WithMasks && s < scene.Masks.Count; s++)
            {
                scene.Masks[s]?.ToImage(scene.Image.Width, scene.Image.Height).SavePng($"{path}-mask-{s + 1}.png");
            }
        }
    }

    private static string Approximations(StoryOptions options) => string.Concat(
        options.GuidanceEnd < 1 ? string.Create(CultureInfo.InvariantCulture, $"Guidance end: {options.GuidanceEnd}, ") : "",
        options.BlockCacheThreshold > 0 ? string.Create(CultureInfo.InvariantCulture, $"Block cache: {options.BlockCacheThreshold}, ") : "");

    /// <summary>The settings in the form that image tools read: prompt, negative prompt, then one line of pairs.</summary>
    private string Parameters(SceneResult scene, StoryOptions options)
    {
        var negative = options.NegativePrompt is null ? "" : $"\nNegative prompt: {options.NegativePrompt}";
        var techniques = options.Techniques!;
        return string.Create(CultureInfo.InvariantCulture, $"{scene.Scene.Prompt}{negative}\n"
            + $"Steps: {options.Steps}, CFG scale: {options.GuidanceScale}, {Approximations(options)}Seed: {scene.Seed}, "
            + $"Size: {scene.Image.Width}x{scene.Image.Height}, Model: {settings.Model}, "
            + $"Subjects: \"{string.Join("; ", settings.Story.Subjects)}\", Sharing: {techniques.Sharing.Strength}, "
            + $"Harmonization: {techniques.Harmonization.Alpha}, Layout: {techniques.Layout.Start} until {techniques.Layout.Until}");
    }
}
