using System.CommandLine;
using StorySync.Samples;

namespace StorySync.Tool;

/// <summary>Keeps banks under names: characters, which every story can have.</summary>
internal static class CharacterCommand
{
    public static Command Create(Option<bool> json) =>
        new(
            "character",
            $"Banks under a name, for --bank. "
                + $"They are kept in {Characters.Folder}; {Characters.Variable} names another folder.")
        {
            List(json), Show(json), Add(json),
        };

    private static Command List(Option<bool> json)
    {
        var list = new Command("list", "List the characters.");
        list.Does(json, "nothing was listed.", (_, results, error, token) =>
        {
            var found = Characters.Names.Select(name => (Name: name, Bank: Inspection.Of(Characters.PathOf(name), token)[0])).ToList();
            results.Write(
                new
                {
                    Characters.Folder,
                    Characters = found.Select(character => new
                    {
                        character.Name, File = character.Bank.Path, character.Bank.Kind, character.Bank.Details,
                    }),
                },
                console =>
                {
                    foreach (var (name, bank) in found)
                    {
                        console.WriteLine($"{name}: {bank.Details.GetValueOrDefault("subjects", bank.Kind)}");
                    }
                });
            if (found.Count == 0)
            {
                error.WriteLine($"There are none in {Characters.Folder}. `storysync story --save-bank FILE` makes a bank, `storysync "
                    + "character add FILE` keeps it.");
            }

            return Task.CompletedTask;
        });
        return list;
    }

    private static Command Show(Option<bool> json)
    {
        var name = new Argument<string>("name") { Description = "The character." };
        name.CompletionSources.Add(_ => Characters.Names.Select(known => new System.CommandLine.Completions.CompletionItem(known)));
        var show = new Command("show", "Show what a character was made with, and its anchors.") { name };
        show.Does(json, "nothing was shown.", (parsed, results, _, _) =>
        {
            var asked = parsed.GetValue(name)!;
            var path = Characters.PathOf(asked);
            return File.Exists(path) ? BankCommand.Show(path, results) : throw new UserErrorException(
                $"There is no character '{asked}' in {Characters.Folder}; there {(Characters.Names.Count == 0 ? "is none"
                    : $"are {string.Join(", ", Characters.Names)}")}.");
        });
        return show;
    }

    private static Command Add(Option<bool> json)
    {
        var file = new Argument<string>("file") { Description = "A bank that --save-bank wrote." };
        var name = CommandLine.Name("--name", "The name. [default: the file's, without its extension]");
        var replace = new Option<bool>("--replace") { Description = "Replace a character of that name." };
        var add = new Command("add", "Keep a bank under a name.") { file, name, replace };
        add.Does(json, "nothing was kept.", (parsed, results, _, _) =>
        {
            var source = parsed.GetValue(file)!;
            var given = parsed.GetValue(name) ?? Path.GetFileNameWithoutExtension(source);
            var target = Characters.PathOf(given);
            BankFile.Load(Path.GetFullPath(source))!.Dispose();
            if (File.Exists(target) && !parsed.GetValue(replace))
            {
                throw new UserErrorException($"There is a character '{given}'; give another --name, or --replace.");
            }

            OutputFolder.Open(Characters.Variable, Characters.Folder).CopyFrom(source, Path.GetFileName(target));
            results.Write(new { Name = given, File = target }, console => console.WriteLine(
                $"{given} is in {target}; `storysync story --bank {given} --scene \"…\"` draws scenes with it."));
            return Task.CompletedTask;
        });
        return add;
    }
}
