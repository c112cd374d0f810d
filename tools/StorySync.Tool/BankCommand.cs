using System.CommandLine;
using StorySync.Samples;

namespace StorySync.Tool;

/// <summary>Shows what a bank holds.</summary>
internal static class BankCommand
{
    public static Command Create(Option<bool> json)
    {
        var file = new Argument<string>("file") { Description = "A file that --save-bank wrote." };
        var show = new Command("show", "Show what a bank was made with, and its anchors.") { file };
        show.Does(json, "nothing was shown.", (parsed, results, _, _) => Show(parsed.GetValue(file)!, results));
        return new Command("bank", "What keeps a story's anchors.") { show };
    }

    /// <summary>Writes what a bank says of itself.</summary>
    public static Task Show(string path, ResultWriter results)
    {
        using var bank = BankFile.Load(path)!;
        results.Write(new { File = path, bank.Bytes, bank.Card }, console => console.WriteLine(bank.Describe()));
        return Task.CompletedTask;
    }
}
