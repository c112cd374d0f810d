using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Benchmarks;

/// <summary>Opens a file of 1,000 tensors, 2 MB each, and reads every byte; <c>python/safetensors_run.py</c> does the same.</summary>
internal static class SafetensorsRun
{
    private const int Count = 1000;
    private const long Length = 1 << 19;
    private const int Rounds = 5;

    public static Command Command()
    {
        var given = new Argument<FileInfo>("FILE")
        {
            Description = "A file that `make` wrote; without one it is made for this run only.",
            Arity = ArgumentArity.ZeroOrOne,
        };
        given.AcceptExistingOnly();
        var made = new Argument<FileInfo>("FILE") { Description = "The file to write." };
        var make = new Command("make", "Writes the file, to measure it here and in Python.") { made };
        make.SetAction(parsed => Make(parsed.GetRequiredValue(made).FullName));

        var command = new Command("safetensors", "Opening a file of 2 GB and reading every byte.") { given, make };
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(given) is { } file)
            {
                Measure(file.FullName);
            }
            else
            {
                MakeAndMeasure();
            }
        });
        return command;
    }

    private static void MakeAndMeasure()
    {
        var folder = Directory.CreateTempSubdirectory("storysync-benchmark-");
        try
        {
            var path = Path.Combine(folder.FullName, "weights.safetensors");
            Make(path);
            Measure(path);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static void Make(string path)
    {
        var clock = Stopwatch.StartNew();
        SafetensorsWriter.Write(
            path,
            Enumerable.Range(0, Count).Select(i => new TensorInfo($"blocks.{i:d3}.weight", SafetensorsDtype.F32, 512, Length / 512)),
            name =>
            {
                using var number = int.Parse(name.AsSpan(7, 3), CultureInfo.InvariantCulture).ToScalar();
                return full([512, Length / 512], number, ScalarType.Float32);
            });
        Console.WriteLine($"wrote {new FileInfo(path).Length / 1e9:f2} GB in {clock.Elapsed.TotalSeconds:f2} s");
    }

    private static void Measure(string path)
    {
        // The libraries are loaded and the threads started before the clock.
        using (var warm = ones(1000, 1000))
        {
            warm.sum().Dispose();
        }

        for (var round = 1; round <= Rounds; round++)
        {
            using var scope = NewDisposeScope();
            var memory = PrivateMemory.Read();
            var clock = Stopwatch.StartNew();
            using var file = SafetensorsFile.Open(path);
            var tensors = file.Tensors.Keys.Select(file.Read).ToList();
            var opened = clock.Elapsed;
            var taken = PrivateMemory.Read() - memory;
            clock.Restart();
            var sum = tensors.Sum(tensor => tensor.sum().item<float>());
            Console.WriteLine($"round {round}: open and get {tensors.Count} tensors {opened.TotalMilliseconds:f1} ms, "
                + $"{taken / 1e6:f1} MB private memory; read every byte {clock.Elapsed.TotalSeconds:f3} s (sum {sum:e6})");
        }
    }
}
