using System.CommandLine;

namespace StorySync.Benchmarks.Attack;

/// <summary>Tries to end the process, to hang it, or to get a wrong image without an error.</summary>
internal static class AttackCommand
{
    public static Command Create()
    {
        var names = AttackPart.All.Select(part => part.Name).ToArray();
        var parts = new Option<string[]>("--parts")
        {
            Description = $"Which parts to run ({string.Join(", ", names)}); all by default.",
            AllowMultipleArgumentsPerToken = true,
            DefaultValueFactory = _ => names,
        };
        parts.AcceptOnlyFromAmong(names);
        var small = new Option<bool>("--small") { Description = "As many cases as take two minutes." };
        var scale = new Option<double>("--scale") { DefaultValueFactory = _ => 1, Description = "A fraction of all cases." };
        scale.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && result.GetValueOrDefault<double>() is not > 0)
            {
                result.AddError("--scale must be above 0.");
            }
        });
        var seed = new Option<int>("--seed") { DefaultValueFactory = _ => 18, Description = "Where the cases come from." };
        var only = new Option<int?>("--case") { Description = "The one case to run." };
        var models = new Option<DirectoryInfo?>("--models") { Description =
            "The folder of tiny models; by default that of the repository, tests/Reference/models." };
        var report = new Option<FileInfo?>("--report") { Description = "The file to write the table to, in addition to the console." };
        var command = new Command("attack", "Damaged files, unlucky moments, full disks: whether each ends in one of the promised ways.")
        {
            parts, small, scale, seed, only, models, report,
        };
        command.SetAction(parsed =>
        {
            var run = new AttackRun(
                parsed.GetValue(models)?.FullName ?? OwnModels(), parsed.GetValue(seed), parsed.GetValue(report)?.FullName,
                    parsed.GetValue(small) ? "--small" : $"--scale {parsed.GetValue(scale):g}");
            foreach (var name in parsed.GetValue(parts)!)
            {
                var part = AttackPart.All.Single(part => part.Name == name);
                var count = parsed.GetValue(small) ? part.Small : Math.Max(1, (int)(part.Full * parsed.GetValue(scale)));
                run.Part(part, parsed.GetValue(only) ?? 0, parsed.GetValue(only) is null ? count : 1);
            }

            run.Conclude();
            return run.Failures == 0 ? 0 : 1;
        });
        return command;
    }

    private static string OwnModels()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (Path.Combine(folder.FullName, "tests", "Reference", "models") is var models && Directory.Exists(models))
            {
                return models;
            }
        }

        throw new DirectoryNotFoundException($"There is no tests/Reference/models above {AppContext.BaseDirectory}; name it by --models.");
    }
}
