using System.Globalization;
using TorchSharp;

namespace StorySync.Benchmarks.Attack;

/// <summary>Makes the cases of a part one after the other and writes a line for each, so that the process that reads them knows which one
/// hung, or ended this process.</summary>
internal static class AttackWorker
{
    private const int Settling = 100;

    public static int Run(string[] words)
    {
        var part = AttackPart.All.Single(part => part.Name == words[0]);
        var (models, numbers) = (words[1], words[2..].Select(word => int.Parse(word, CultureInfo.InvariantCulture)).ToArray());
        var (seed, first, count) = (numbers[0], numbers[1], numbers[2]);
        using var attack = part.Create(models);
        Say("ready", "", "");
        var (before, most) = (default(Left), 0);
        for (var i = first; i < first + count; i++)
        {
            try
            {
                Say(Text(i), attack.Try(i, part.RandomOf(seed, i)), "");
            }
            catch (Exception exception)
            {
                Say(Text(i), exception.GetType().Name, $"{attack.Input}: {exception}");
            }

            if (i == first + Math.Min(Settling, count / 2))
            {
                before = Left.Now();
            }

            most = Math.Max(most, i % 10 == 0 ? Left.OpenFiles().Length : 0);
        }

        var after = Left.Now();
        Say("fact", $"open files {before.Files.Length} → {after.Files.Length}, at most {most}", "");
        Say("fact", $"live tensors {before.Tensors} → {after.Tensors}", "");
        try
        {
            Ending.Require(after.Tensors <= before.Tensors, "Tensors are left.");
            Ending.Require(after.Files.Length <= before.Files.Length,
                $"Files are left open: {string.Join(", ", after.Files.Except(before.Files))}.");
            Say("fact", attack.Conclude() ?? "", "");
        }
        catch (InvalidOperationException exception)
        {
            Say("whole", exception.GetType().Name, exception.Message);
        }

        return 0;
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static void Say(string what, string outcome, string failure) =>
        Console.Out.WriteLine($"{what}\t{outcome}\t{failure.ReplaceLineEnding()}");

    private static string ReplaceLineEnding(this string text) => text.ReplaceLineEndings(" ⏎ ").Replace('\t', ' ');

    /// <summary>What is there once the collector has run.</summary>
    private readonly record struct Left(string[] Files, long Tensors)
    {
        private const string Linux = "/proc/self/fd";
        private const int Looks = 10;

        public static Left Now()
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();

            // .NET's own threads open files for a moment.
            var files = Enumerable.Range(0, Looks).Select(look =>
            {
                Thread.Sleep(look);
                return OpenFiles();
            });
            return new(files.MinBy(open => open.Length)!, torch.Tensor.TotalCount);
        }

        /// <summary>Open files; none where the system does not tell. Assemblies, which .NET opens when their code is first called and never
        /// closes, do not count.</summary>
        public static string[] OpenFiles() => !Directory.Exists(Linux) ? [] : [.. Directory.GetFiles(Linux)
            .Select(file => $"{Path.GetFileName(file)} = {new FileInfo(file).LinkTarget}")
            .Where(file => !file.EndsWith(".dll", StringComparison.Ordinal))];
    }
}
