using System.CommandLine;
using Spectre.Console;
using StorySync.Documents;

namespace StorySync.Samples.Evaluate;

/// <summary>The commands <c>blind</c> and <c>score</c>: a user study without a server.</summary>
internal static class BlindCommand
{
    private const string Cancelled = "nothing was written.";

    public static Command Page()
    {
        var (output, first, second) = (Output(), First(), Second());
        var seed = CommandLine.Whole("--shuffle", NumberRange.Any, "Seed of the order of stories and rows.");
        var command = new Command("blind",
            "Writes a page on which people compare two variants of a finished evaluation without knowing which is which.")
        {
            output, first, second, seed,
        };
        command.SetAction((parsed, _) => CommandLine.GuardedAsync(parsed.InvocationConfiguration.Error, Cancelled, () =>
        {
            var console = parsed.InvocationConfiguration.Output;
            var page = BlindPage.Write(
                OutputFolder.Open("--output", parsed.GetValue(output)!), parsed.GetValue(first)!, parsed.GetValue(second)!,
                    parsed.GetValue(seed) ?? 0);
            console.WriteLine($"Page: {page}");
            console.WriteLine($"Give that file to participants and collect the answers that they save; keep {BlindPage.KeyFile}.");
            return Task.CompletedTask;
        }));
        return command;
    }

    public static Command Score()
    {
        var answers = new Argument<string[]>("answers")
        {
            Description = "The files that participants saved; * and ? stand for any characters of a name.", Arity = ArgumentArity.OneOrMore,
        };
        var (output, second) = (Output(), Second());
        var command = new Command("score", "Counts what participants of the blind page preferred.") { answers, output, second };
        command.SetAction((parsed, _) => CommandLine.GuardedAsync(parsed.InvocationConfiguration.Error, Cancelled, () =>
        {
            var console = parsed.InvocationConfiguration.Output;
            var key = Json.Read<BlindKey>(Path.Combine(parsed.GetValue(output)!, BlindPage.KeyFile), "key");
            BlindAnswers[] participants =
                [.. parsed.GetValue(answers)!.SelectMany(Files).Select(path => Json.Read<BlindAnswers>(path, "file of answers"))];
            var variant = parsed.GetValue(second)!;
            var table = new Table().Border(TableBorder.Simple).AddColumns("question", "for", "against", "no difference", "preference",
                "95 %", "sign test p");
            foreach (var score in BlindScore.Of(key, participants, variant))
            {
                table.AddRow(
                    score.Question,
                    $"{score.Wins}",
                    $"{score.Losses}",
                    $"{score.Ties}",
                    FormattableString.Invariant($"{score.Preference.Mean:f3}"),
                    FormattableString.Invariant($"{score.Preference.Low:f3}–{score.Preference.High:f3}"),
                    FormattableString.Invariant($"{score.SignTest:g3}"));
            }

            console.WriteLine($"Preference for '{variant}' of {English.Count(participants.Length, "participant")}:");
            Terminal.Of(console).Write(table);
            return Task.CompletedTask;
        }));
        return command;
    }

    /// <summary>The files that a name with wildcards stands for: not every shell puts them in its place.</summary>
    /// <exception cref="UserErrorException">There are none.</exception>
    private static IEnumerable<string> Files(string name)
    {
        var pattern = Path.GetFileName(name);
        if (File.Exists(name) || pattern.AsSpan().IndexOfAny('*', '?') < 0)
        {
            return [name];
        }

        var folder = Path.GetDirectoryName(name) is { Length: > 0 } given ? given : ".";
        string[] files = Directory.Exists(folder) ? [.. Directory.EnumerateFiles(folder, pattern).Order(StringComparer.Ordinal)] : [];
        return files.Length > 0 ? files : throw new UserErrorException($"No file is called '{name}'.");
    }

    private static Option<string> Output() => CommandLine.Name("--output", "The folder of the evaluation.", "evaluation-output", "-o");

    private static Option<string> First() => CommandLine.Name("--first", "A variant.", BuiltInVariants.Plain);

    private static Option<string> Second() => CommandLine.Name("--second", "The variant to compare with it.", BuiltInVariants.All);
}
