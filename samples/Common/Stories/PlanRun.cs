using Spectre.Console;
using StorySync.Documents;
using StorySync.Pipelines;

namespace StorySync.Samples;

/// <summary>Estimates the memory that the story requires, without making it.</summary>
internal sealed class PlanRun(StorySettings settings, ResultWriter results, TextWriter error)
{
    private const int WidthOfFile = 120;

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var pipeline = await ModelOptions.LoadAsync(
            settings.Model, settings.Pipeline, settings.Additions, error, cancellationToken);
        var plan = pipeline.PlanMemory(settings.WithAnchors, settings.PlannedFor(pipeline));
        results.Write(
            new
            {
                Scenes = settings.Story.Scenes.Count - settings.Images,
                Device = plan.Device.ToString(),
                plan.PeakBytes,
                plan.HostBytes,
                ProcessBytes = ProcessMemory.With(plan),
                Fits = ProcessMemory.Misfit(plan) is null,
                Stages = plan.Stages.Select(stage => new
                {
                    Stage = stage.Stage.ToString().ToLowerInvariant(), stage.WeightBytes, stage.ActivationBytes, stage.Bytes,
                }),
                Advice = plan.Advice.Select(change => new
                {
                    Change = OptionNames.In(change.Change), change.SavedBytes, change.PeakBytes,
                }),
            },
            console => Tables(plan, console));
    }

    private void Tables(MemoryPlan plan, TextWriter console)
    {
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

        var scenes = English.Count(settings.Story.Scenes.Count - settings.Images, "scene");
        terminal.Write(stages.Title($"{scenes} on {plan.Device}: {ProcessMemory.Size(plan.PeakBytes)}"));
        if (plan.HostBytes > 0)
        {
            terminal.WriteLine($"On the host in addition: {ProcessMemory.Size(plan.HostBytes)}");
        }

        terminal.WriteLine($"The process will hold about {ProcessMemory.Size(ProcessMemory.With(plan))} of RAM, with .NET and libtorch.");
        if (settings.SaveBank is not null)
        {
            terminal.WriteLine($"The bank will take at most {ProcessMemory.Size(plan.BankBytes)}, if the subjects fill their scenes.");
        }

        if (ProcessMemory.Misfit(plan) is { } misfit)
        {
            terminal.WriteLine($"The story does not fit: {misfit}.");
        }

        if (plan.Advice.Count > 0)
        {
            var advice = new Table().AddColumns("to reduce it", "saves", "leaves");
            foreach (var change in plan.Advice)
            {
                advice.AddRow(Markup.Escape(OptionNames.In(change.Change)), ProcessMemory.Size(change.SavedBytes),
                    ProcessMemory.Size(change.PeakBytes));
            }

            terminal.Write(advice);
        }
    }
}
