using System.CommandLine;
using StorySync.Samples;

namespace StorySync.Tool;

/// <summary>The program's commands.</summary>
internal static class ToolCommand
{
    public static RootCommand Create()
    {
        var json = new Option<bool>("--json") { Description = "Write the result as JSON.", Recursive = true };
        return new RootCommand("Draws stories in images whose character stays the same, and what belongs to it.")
        {
            json,
            StoryCommand.Create(
                new Command("story", "Draw a story, next to what the plain model makes of it."), StoryTask.Draw, json),
            StoryCommand.Create(
                new Command("plan", "Estimate the memory that a story requires, without drawing it."), StoryTask.Plan, json),
            StoryCommand.Create(
                new Command("redraw", "Draw one scene of a story again that was drawn with a bank."), StoryTask.Redraw, json),
            DrawCommand.Create(json),
            BankCommand.Create(json),
            CharacterCommand.Create(json),
            ExportCommand.Create(json),
            EvaluateCommand.Create(json),
            InspectCommand.Create(json),
            PullCommand.Create(json),
            ConvertCommand.Create(json),
            ServeCommand.Create(),
            DoctorCommand.Create(json),
            CompletionCommand.Create(),
        };
    }

    /// <summary>Has a command do its work: what it finds goes to the output, what goes wrong to the error stream in one line.</summary>
    /// <param name="command">The command.</param>
    /// <param name="json">The option to write the result as JSON; null where it has no effect.</param>
    /// <param name="canceled">What is true of a canceled run.</param>
    /// <param name="run">The work.</param>
    public static void Does(
        this Command command, Option<bool>? json, string canceled,
        Func<ParseResult, ResultWriter, TextWriter, CancellationToken, Task> run) =>
        command.SetAction((parsed, cancellationToken) =>
        {
            var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
            var results = new ResultWriter(output, json is not null && parsed.GetValue(json));
            return CommandLine.GuardedAsync(error, canceled, () => run(parsed, results, error, cancellationToken));
        });
}
