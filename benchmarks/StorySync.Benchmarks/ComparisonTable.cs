using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using StorySync.Diffusion.Sdxl;
using StorySync.Diffusion.Weights;
using TorchSharp;

namespace StorySync.Benchmarks;

/// <summary>The table of one processor: this program's commands against diffusers', and stories against the same images without the
/// techniques, in turn. Written after every row to <c>benchmarks/results/PROCESSOR.md</c>.</summary>
internal static partial class ComparisonTable
{
    private const string OfPlain = "plain";
    private static readonly string[] Layouts = ["", "--channels-last"];
    private static readonly string[] Extensions = ["avx2", "avx512f", "avx512_bf16", "amx_bf16"];

    private static readonly string Storybook = ModelFolder.Open("storybook").Path;

    /// <param name="Name">What the row is called.</param>
    /// <param name="Words">The command of both sides.</param>
    /// <param name="Others">What the other side is told in addition, each in turn: the best of them counts.</param>
    private sealed record Row(string Name, string Words, params string[] Others);

    private sealed record Measure(double Seconds, double Mebibytes);

    public static Command Command()
    {
        var theirs = new Option<string?>("--theirs")
        {
            Description = "How diffusers is run, \"python benchmarks/python/diffusers_run.py\" for example; without it only stories are "
                + "compared with plain images.",
        };
        var rounds = PositiveOption.Create("--rounds", 3, "Rounds; in each all sides of a row run once.");
        var threads = PositiveOption.Create("--threads", Environment.ProcessorCount, "Threads of both sides.");
        var large = new Option<bool>("--large") { Description = "Full-size models too: takes 16 GB of memory and 6 GB of disk." };
        var only = new Option<string[]>("--only") { Description = "Names of rows.", AllowMultipleArgumentsPerToken = true };
        var folder = new Option<string>("--results")
        {
            Description = "The folder of the file.", DefaultValueFactory = _ => Path.Combine("benchmarks", "results"),
        };
        var command = new Command("table", "The library against diffusers on this processor: a table, as a file of results.")
        {
            theirs, rounds, threads, large, only, folder,
        };
        command.SetAction(parsed =>
        {
            using var temporary = new TemporaryFolder();
            var chosen = parsed.GetValue(only) ?? [];
            var rows = Rows(temporary.Path, parsed.GetValue(theirs) is not null, parsed.GetValue(large))
                .Where(row => chosen.Length == 0 || chosen.Contains(row.Name)).ToList();
            Run(rows, parsed.GetValue(theirs), parsed.GetValue(rounds), parsed.GetValue(threads), parsed.GetValue(folder)!, temporary.Path);
        });
        return command;
    }

    private static IEnumerable<Row> Rows(string folder, bool diffusers, bool large)
    {
        const string Small = "--height 128 --width 128";
        if (diffusers)
        {
            yield return new("unet", $"unet --folder {Storybook} --batch 8 {Small} --tokens 32 --warmup 10 --iters 20", Layouts);
            yield return new("pipeline", $"pipeline --folder {Storybook} --batch 4 {Small} --iters 3", Layouts);
            yield return new("load", $"load --folder {Storybook} --warmup 0 --iters 1", "");
        }

        yield return new("story of 4", $"story --batch 4 {Small} --iters 2", OfPlain);
        yield return new("story of 8", $"story --batch 8 {Small} --iters 2", OfPlain);
        if (diffusers && large)
        {
            yield return new("vae-decode", "vae-decode --iters 1", Layouts);
            yield return new("flux-small", "flux-small --height 256 --width 256 --iters 3", "");
            yield return new("kandinsky3", "kandinsky3 --height 256 --width 256 --iters 3", Layouts);
            yield return new("sdxl", $"unet --folder {folder} --iters 2", Layouts);
            yield return new("sdxl bfloat16", $"unet --folder {folder} --iters 2 --dtype BFloat16", Layouts);
        }
    }

    private static void Run(List<Row> rows, string? theirs, int rounds, int threads, string folder, string models)
    {
        var processor = Processor();
        var file = Path.Combine(folder, FileName().Replace(processor, "-").Trim('-').ToLowerInvariant() + ".md");
        var text = new StringBuilder().AppendLine(CultureInfo.InvariantCulture, $"# {processor}").AppendLine().AppendLine(
            CultureInfo.InvariantCulture,
            $"{DateTime.UtcNow:yyyy-MM-dd}, {threads} threads, {rounds} rounds in turn; median of the rounds' ratios, with their range. "
                + $"diffusers is the better of its default and channels-last.").AppendLine()
            .AppendLine("| row | command | time | ratio | peak resident memory | ratio |").AppendLine("|---|---|---|---|---|---|");
        foreach (var row in rows)
        {
            if (row.Name.StartsWith("sdxl", StringComparison.Ordinal))
            {
                using var model = new UNet2DConditionModel(ModelRuns.FullUNet);
                WrittenModel.Once(models, "unet", model, ModelRuns.FullUNet, torch.ScalarType.Float16);
            }

            text.AppendLine(Measured(row, theirs, rounds, threads));
            Directory.CreateDirectory(folder);
            File.WriteAllText(
                file,
                text.ToString()
                    .Replace(models, "FOLDER", StringComparison.Ordinal)
                    .Replace(Storybook, "storybook", StringComparison.Ordinal));
            Console.WriteLine(text.ToString().Split('\n')[^2]);
        }

        Console.WriteLine($"Wrote {file}");
    }

    private static string Measured(Row row, string? theirs, int rounds, int threads)
    {
        string[] words = [.. row.Words.Split(' '), "--threads", threads.ToString(CultureInfo.InvariantCulture)];
        var ours = new List<Measure>();
        var others = row.Others.ToDictionary(other => other, _ => new List<Measure>());
        for (var round = 0; round < rounds; round++)
        {
            ours.Add(Once(OwnProcess.Start(words)));
            foreach (var (other, measures) in others)
            {
                measures.Add(Once(other == OfPlain
                    ? OwnProcess.Start([.. words, "--plain"])
                    : Process.Start(Line([.. theirs!.Split(' '), .. words, .. other.Split(' ', StringSplitOptions.RemoveEmptyEntries)]))!));
            }
        }

        var best = others.Values.MinBy(measures => Median(measures.Select(m => m.Seconds)))!;
        var (time, memory) = (Ratios(ours, best, m => m.Seconds), Ratios(ours, best, m => m.Mebibytes));
        return string.Create(
            CultureInfo.InvariantCulture,
            $"| {row.Name} | `{row.Words}` | {Median(ours.Select(m => m.Seconds)):g3} / {Median(best.Select(m => m.Seconds)):g3} s | "
                + $"**{Median(time):f2}** ({time.Min():f2}–{time.Max():f2}) | {Median(ours.Select(m => m.Mebibytes)):n0} / "
                + $"{Median(best.Select(m => m.Mebibytes)):n0} MiB | {Median(memory):f2} |");
    }

    private static List<double> Ratios(List<Measure> ours, List<Measure> theirs, Func<Measure, double> value) =>
        [.. ours.Zip(theirs, (our, their) => value(our) / value(their))];

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToList();
        return (sorted[(sorted.Count - 1) / 2] + sorted[sorted.Count / 2]) / 2;
    }

    /// <summary>What a command's last line says.</summary>
    private static Measure Once(Process process)
    {
        using (process)
        {
            var (code, output, errors) = OwnProcess.Await(process);
            if (code != 0)
            {
                throw new InvalidDataException($"{process.StartInfo.FileName} ended with {OwnProcess.Ended(code)}: {errors}");
            }

            var report = JsonNode.Parse(output.Split('\n')[^1])!;
            return new Measure((double)report["seconds"]!, (double)report["peak_rss_mb"]!);
        }
    }

    private static ProcessStartInfo Line(string[] words) =>
        new(words[0], words[1..]) { RedirectStandardOutput = true, RedirectStandardError = true };

    /// <summary>The processor by what tells its kernels apart: name, family, model, vector extensions.</summary>
    private static string Processor()
    {
        if (!File.Exists("/proc/cpuinfo"))
        {
            return $"{System.Runtime.InteropServices.RuntimeInformation.OSDescription}, {Environment.ProcessorCount} cores";
        }

        var entries = File.ReadLines("/proc/cpuinfo").TakeWhile(line => line.Length > 0).Select(line => line.Split(':', 2))
            .Where(pair => pair.Length == 2).ToDictionary(pair => pair[0].Trim(), pair => pair[1].Trim());
        var flags = entries.GetValueOrDefault("flags", "").Split(' ');
        var told = Extensions.Where(flags.Contains);
        return $"{entries.GetValueOrDefault("model name")}, family {entries.GetValueOrDefault("cpu family")} model "
            + $"{entries.GetValueOrDefault("model")}, {Environment.ProcessorCount} cores, {string.Join(" ", told)}";
    }

    [GeneratedRegex("[^A-Za-z0-9]+")]
    private static partial Regex FileName();
}
