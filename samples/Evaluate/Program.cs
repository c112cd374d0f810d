using Spectre.Console;
using StorySync.Samples.Evaluate;

if (Console.IsOutputRedirected)
{
    AnsiConsole.Profile.Width = 200;
}

return await EvaluateCommand.Create().Parse(args).InvokeAsync();
