using System.Diagnostics;
using System.Globalization;
using StorySync.Diffusion.Weights;

namespace StorySync.Benchmarks.Attack;

/// <summary>A file of weights is written to, or another takes its place, while a model uses it: the right image, or the exception that
/// names the file. In a process of its own, because the system ends one that reads a page which is gone.</summary>
/// <param name="models">The folder of tiny models.</param>
internal sealed class MappedAttack(string models) : IAttack
{
    public const string Name = "mapped";
    private const int Steps = 4;
    private const int Settling = 50;
    private static readonly string[] Changes = ["shortened", "emptied", "overwritten", "lengthened", "replaced", "deleted"];
    private static readonly string[] Moments = ["before the first run", "between runs", "during a run"];

    public string Input { get; private set; } = "";

    public string Try(int index, Random random)
    {
        var (change, moment) = (Changes[index % Changes.Length], Moments[random.Next(Moments.Length)]);
        var model = TinyModels.Names[random.Next(TinyModels.Names.Length)];
        var part = random.NextDouble();
        Input = string.Create(CultureInfo.InvariantCulture, $"{model}, {change} {moment}, after {part:f3} of it");
        using var copy = new WorkingCopy(Path.Combine(models, model));
        var weights = copy.Files.Where(file => file.EndsWith(".safetensors", StringComparison.Ordinal)).ToList();
        var file = weights[random.Next(weights.Count)];
        using var process = OwnProcess.StartVictim(
            Name, copy.Path, file, change, moment, part.ToString(CultureInfo.InvariantCulture));
        var (code, output, errors) = OwnProcess.Await(process);
        var ended = OwnProcess.Ended(code);
        if (code == 0 && output is "the right image" or nameof(ModelFileException))
        {
            return output;
        }

        // What the system does to a process that reads a page which is gone; between runs nothing is read.
        Ending.Require(moment == Moments[2] && change is "shortened" or "emptied" && ended is "SIGBUS" or "SIGABRT",
            $"{file}: {ended}: {output} {errors}");
        return $"{ended} within a run";
    }

    public void Dispose()
    {
    }

    /// <summary>What happens in the other process.</summary>
    public static int Suffer(string[] words)
    {
        var (folder, file, change, moment) = (words[1], Path.Combine(words[1], words[2]), words[3], words[4]);
        var part = double.Parse(words[5], CultureInfo.InvariantCulture);
        byte[] expected;
        TimeSpan time;
        using (var unmapped = TinyModels.Load(folder, mapWeights: false))
        {
            expected = TinyModels.Draw(unmapped, TinyModels.Request(Steps));
            var watch = Stopwatch.StartNew();
            TinyModels.Draw(unmapped, TinyModels.Request(Steps));
            time = watch.Elapsed;
        }

        using var pipeline = TinyModels.Load(folder);

        // A file system's clock ticks every few milliseconds: what was written within one tick of the reading looks like what was read.
        Thread.Sleep(Settling);
        if (moment == Moments[1])
        {
            TinyModels.Draw(pipeline, TinyModels.Request(Steps));
        }

        var changing = Task.CompletedTask;
        if (moment == Moments[2])
        {
            changing = Task.Run(() =>
            {
                Thread.Sleep(time * part);
                Change(file, change);
            });
        }
        else
        {
            Change(file, change);
        }

        Console.WriteLine(Ending.Of(
            () =>
            {
                var image = TinyModels.Draw(pipeline, TinyModels.Request(Steps));
                return image.AsSpan().SequenceEqual(expected) ? "the right image" : "another image";
            },
            exception => Ending.IsOfFile(exception, file)));
        changing.Wait();
        return 0;
    }

    private static void Change(string path, string change)
    {
        if (change is "replaced" or "deleted")
        {
            File.WriteAllText(path + ".new", "something else");
            File.Move(path + ".new", path, overwrite: true);
            if (change == "deleted")
            {
                File.Delete(path);
            }

            return;
        }

        using var stream = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        if (change == "overwritten")
        {
            stream.Write(new byte[stream.Length]);
        }
        else
        {
            stream.SetLength(change switch
            {
                "shortened" => stream.Length / 2,
                "emptied" => 0,
                _ => stream.Length + 1,
            });
        }
    }
}
