using Spectre.Console;

namespace StorySync.Samples.Evaluate;

/// <summary>Where tables and progress are written.</summary>
internal static class Terminal
{
    private const int WidthOfFile = 200;

    /// <summary>Returns a console over a stream; a file gets lines that are long enough for a table.</summary>
    public static IAnsiConsole Of(TextWriter writer)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(writer) });
        var isTerminal = (ReferenceEquals(writer, Console.Out) && !Console.IsOutputRedirected)
            || (ReferenceEquals(writer, Console.Error) && !Console.IsErrorRedirected);
        if (!isTerminal)
        {
            console.Profile.Width = WidthOfFile;
        }

        return console;
    }
}
