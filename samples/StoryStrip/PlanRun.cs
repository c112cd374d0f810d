using Spectre.Console;
using StorySync.Pipelines;

namespace StorySync.Samples.StoryStrip;

/// <summary>Estimates the memory that the story requires, without making it.</summary>
internal sealed class PlanRun(StorySettings settings, TextWriter console, TextWriter error)
{
    private const int WidthOfFile = 120;

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var pipeline = await ModelLoading.LoadAsync(settings, error, cancellationToken);
        var plan = pipeline.PlanMemory(settings.Story, settings.Options);
        var terminal = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(console) });
        if (!ReferenceEquals(console, Console.Out) || Console.IsOutputRedirected)
        {
            terminal.Profile.Width = WidthOfFile;
        }

        var stages = new Table().AddColumns("stage", "weights", "activations", "together");
        foreach (var stage in plan.Stages)
        {
            stages.AddRow(stage.Stage.ToString().ToLowerInvariant(), ProcessMemory.Size(stage.WeightBytes),
                ProcessMemory.Size(stage.ActivationBytes), ProcessMemory.Size(stage.Bytes));
        }

        terminal.Write(
            stages.Title($"{English.Count(settings.Story.Scenes.Count, "scene")} on {plan.Device}: {ProcessMemory.Size(plan.PeakBytes)}"));
        if (plan.HostBytes > 0)
        {
            terminal.WriteLine($"On the host in addition: {ProcessMemory.Size(plan.HostBytes)}");
        }

        terminal.WriteLine($"The process will hold about {ProcessMemory.Size(ProcessMemory.With(plan))} of RAM, with .NET and libtorch.");
        if (ProcessMemory.Misfit(plan) is { } misfit)
        {
            terminal.WriteLine($"The story does not fit: {misfit}.");
        }

        if (plan.Advice.Count > 0)
        {
            var advice = new Table().AddColumns("to reduce it", "saves", "leaves");
            foreach (var change in plan.Advice)
            {
                advice.AddRow(Markup.Escape(Option(change.Change)), ProcessMemory.Size(change.SavedBytes),
                    ProcessMemory.Size(change.PeakBytes));
            }

            terminal.Write(advice);
        }
    }

    /// <summary>What the library calls by its members, by this program's options.</summary>
    private static string Option(string change) => change
        .Replace("PipelineOptions.Offload = true", "--offload", StringComparison.Ordinal)
        .Replace("PipelineOptions.StreamBlocks = true", "--stream-blocks", StringComparison.Ordinal)
        .Replace("PipelineOptions.TiledDecoding = true", "--tiled-decoding", StringComparison.Ordinal)
        .Replace("PipelineOptions.Dtype = BFloat16", "--dtype bfloat16", StringComparison.Ordinal)
        .Replace("StoryOptions.Techniques.Layout.Until = 0", "--layout-until 0", StringComparison.Ordinal)
        .Replace("BlockCacheThreshold = 0", "no --block-cache", StringComparison.Ordinal)
        .Replace("Height = ", "--height ", StringComparison.Ordinal)
        .Replace(", Width = ", " --width ", StringComparison.Ordinal)
        .Replace("images in one batch", "scenes", StringComparison.Ordinal);
}
