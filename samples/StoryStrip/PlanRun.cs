using System.Globalization;
using Spectre.Console;
using StorySync.Pipelines;

namespace StorySync.Samples.StoryStrip;

/// <summary>Tells what memory the story will take, without making it.</summary>
internal sealed class PlanRun(StorySettings settings)
{
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var pipeline = await Task.Run(() => DiffusionPipeline.Load(settings.Model, settings.Pipeline), cancellationToken);
        var options = settings.Options with { Techniques = settings.Techniques(pipeline.DefaultTechniques) };
        var plan = new StoryPipeline(pipeline).PlanMemory(settings.Story, options);

        var stages = new Table().AddColumns("stage", "weights", "activations", "together");
        foreach (var stage in plan.Stages)
        {
            stages.AddRow(stage.Stage.ToString().ToLowerInvariant(), Size(stage.WeightBytes), Size(stage.ActivationBytes), Size(stage.Bytes));
        }

        AnsiConsole.Write(stages.Title($"{settings.Story.Scenes.Count} scenes on {plan.Device}: {Size(plan.PeakBytes)}"));
        if (plan.HostBytes > 0)
        {
            AnsiConsole.WriteLine($"On the host beside it: {Size(plan.HostBytes)}");
        }

        if (plan.Advice.Count > 0)
        {
            var advice = new Table().AddColumns("what would make it less", "by", "to");
            foreach (var change in plan.Advice)
            {
                advice.AddRow(change.Change, Size(change.SavedBytes), Size(change.PeakBytes));
            }

            AnsiConsole.Write(advice);
        }
    }

    private static string Size(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e6:f0} MB");
}
