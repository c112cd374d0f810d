using Spectre.Console;
using StorySync.Pipelines;

namespace StorySync.Samples.Evaluate;

/// <summary>Shows how far an evaluation is: bars on a terminal, a line now and then where output is redirected.</summary>
internal sealed class RunProgress(ProgressContext context) : IProgress<GenerationProgress>
{
    private readonly ProgressTask all = context.AddTask("evaluation");
    private double done;

    public void Begin(int jobs) => all.MaxValue = jobs;

    public void Next(string job) => all.Description = Markup.Escape(job);

    public void Report(GenerationProgress value) => all.Value = done + (value.Steps == 0 ? 0 : 0.99 * value.Step / value.Steps);

    public void Done() => all.Value = ++done;
}
