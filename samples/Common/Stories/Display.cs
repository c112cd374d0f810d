using System.Globalization;
using Spectre.Console;
using StorySync.Pipelines;

namespace StorySync.Samples;

/// <summary>Shows the progress of a run on the error stream: live bars on a terminal, plain lines where it is redirected.</summary>
internal abstract class Display : IAsyncDisposable
{
    public static Display Start(TextWriter error)
    {
        var terminal = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(error) });
        return ReferenceEquals(error, Console.Error) && !Console.IsErrorRedirected && terminal.Profile.Capabilities.Interactive
            ? new LiveDisplay(terminal)
            : new PlainDisplay(error);
    }

    public abstract IProgress<GenerationProgress> Progress(string title);

    public abstract ValueTask DisposeAsync();

    private static string Remaining(GenerationProgress progress) =>
        progress.Remaining is { } left ? string.Create(CultureInfo.InvariantCulture, $", {left.TotalSeconds:f0} s left") : "";

    /// <summary>Reports on the thread that computes, so that lines come in order.</summary>
    private sealed class Reporter(Action<GenerationProgress> report) : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value) => report(value);
    }

    private sealed class PlainDisplay(TextWriter error) : Display
    {
        public override ValueTask DisposeAsync() => ValueTask.CompletedTask;

        public override IProgress<GenerationProgress> Progress(string title) => new Reporter(progress =>
        {
            if (progress is { Stage: GenerationStage.Denoising, Step: > 0 })
            {
                error.WriteLine($"{title}: step {progress.Step} of {progress.Steps}{Remaining(progress)}");
            }
        });
    }

    private sealed class LiveDisplay : Display
    {
        private readonly TaskCompletionSource<ProgressContext> started = new();
        private readonly TaskCompletionSource finished = new();
        private readonly Task bars;

        public LiveDisplay(IAnsiConsole terminal) => bars = terminal.Progress()
            .Columns(
                new TaskDescriptionColumn { Alignment = Justify.Left },
                new ProgressBarColumn(),
                new PercentageColumn(),
                new RemainingTimeColumn(),
                new SpinnerColumn())
            .StartAsync(context =>
            {
                started.SetResult(context);
                return finished.Task;
            });

        public override IProgress<GenerationProgress> Progress(string title)
        {
            var task = started.Task.Result.AddTask(title, maxValue: 1);
            return new Reporter(progress =>
            {
                task.MaxValue = Math.Max(progress.Steps, 1);
                task.Value = progress.Step;
                task.Description = progress.Stage == GenerationStage.Denoising ? title
                    : $"{title} ({progress.Stage.ToString().ToLowerInvariant()})";
            });
        }

        public override async ValueTask DisposeAsync()
        {
            finished.TrySetResult();
            await bars;
        }
    }
}
