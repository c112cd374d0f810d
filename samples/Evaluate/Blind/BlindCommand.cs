using System.CommandLine;
using Spectre.Console;

namespace StorySync.Samples.Evaluate;

/// <summary>The commands <c>blind</c> and <c>score</c>: a user study without a server.</summary>
internal static class BlindCommand
{
    public static Command Page()
    {
        var (output, first, second, seed) = (Output(), First(), Second(), new Option<int>("--shuffle") { Description = "Seed of the order of stories and rows." });
        var command = new Command("blind", "Writes a page on which people compare two variants of a finished evaluation without knowing which is which.") { output, first, second, seed };
        command.SetAction(parsed => Failures.Guarded(() =>
        {
            var page = BlindPage.Write(new RunFolder(parsed.GetValue(output)!.FullName), parsed.GetValue(first)!, parsed.GetValue(second)!, parsed.GetValue(seed));
            Console.WriteLine($"Page: {page}");
            Console.WriteLine($"Give that file to participants and collect the answers that they save; keep {BlindPage.KeyFile}.");
        }));
        return command;
    }

    public static Command Score()
    {
        var answers = new Argument<FileInfo[]>("answers") { Description = "The files that participants saved.", Arity = ArgumentArity.OneOrMore };
        var (output, second) = (Output(), Second());
        var command = new Command("score", "Counts what participants of the blind page preferred.") { answers, output, second };
        command.SetAction(parsed => Failures.Guarded(() =>
        {
            var key = Json.Read<BlindKey>(Path.Combine(parsed.GetValue(output)!.FullName, BlindPage.KeyFile));
            BlindAnswers[] participants = [.. parsed.GetValue(answers)!.Select(file => Json.Read<BlindAnswers>(file.FullName))];
            var variant = parsed.GetValue(second)!;
            var table = new Table().Border(TableBorder.Simple).AddColumns("question", "for", "against", "no difference", "preference", "95 %", "sign test p");
            foreach (var score in BlindScore.Of(key, participants, variant))
            {
                table.AddRow(
                    score.Question, $"{score.Wins}", $"{score.Losses}", $"{score.Ties}",
                    FormattableString.Invariant($"{score.Preference.Mean:f3}"), FormattableString.Invariant($"{score.Preference.Low:f3}–{score.Preference.High:f3}"), FormattableString.Invariant($"{score.SignTest:g3}"));
            }

            Console.WriteLine($"Preference for '{variant}' of {participants.Length} participants:");
            AnsiConsole.Write(table);
        }));
        return command;
    }

    private static Option<DirectoryInfo> Output() => new("--output", "-o")
    {
        Description = "The folder of the evaluation.",
        DefaultValueFactory = _ => new DirectoryInfo("evaluation-output"),
    };

    private static Option<string> First() => new("--first") { Description = "A variant.", DefaultValueFactory = _ => BuiltInVariants.Plain };

    private static Option<string> Second() => new("--second") { Description = "The variant to compare with it.", DefaultValueFactory = _ => BuiltInVariants.All };
}
