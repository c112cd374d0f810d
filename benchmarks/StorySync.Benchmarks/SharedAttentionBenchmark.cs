using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using StorySync.Attention;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Benchmarks;

/// <summary>Shared attention against the same thing as dense attention under an N·S × N·S bias, and against plain attention. The ways
/// take turns, each time in a process of its own, so that each has its own peak memory.</summary>
internal static class SharedAttentionBenchmark
{
    private static readonly string[] Ways = ["plain", "shared", "dense"];

    public static Command Command()
    {
        var images = PositiveOption.Create("--images", 6, "Images that attend to each other.");
        var tokens = PositiveOption.Create("--tokens", 4096, "Tokens of an image.");
        var heads = PositiveOption.Create("--heads", 10, "Attention heads.");
        var width = PositiveOption.Create("--width", 64, "Channels of a head.");
        var masked = new Option<double>("--masked") { DefaultValueFactory = _ =>
            0.3, Description = "The share of the tokens that is in the masks." };
        var rounds = PositiveOption.Create("--rounds", 3, "How often each way is measured.");
        var one = new Option<string?>("--one") { Hidden = true };
        var command =
            new Command("shared-attention", "One layer of shared attention against dense masked and plain attention: time and peak memory.")
        {
            images, tokens, heads, width, masked, rounds, one,
        };
        command.SetAction(parsed =>
        {
            var sizes = new Case(
                parsed.GetValue(images),
                parsed.GetValue(tokens),
                parsed.GetValue(heads),
                parsed.GetValue(width),
                parsed.GetValue(masked),
                parsed.GetValue(rounds));
            if (parsed.GetValue(one) is { } way)
            {
                Measure(way, sizes);
            }
            else
            {
                Compare(sizes);
            }
        });
        return command;
    }

    private static void Compare(Case asked)
    {
        Console.WriteLine($"{asked}; {get_num_threads()} threads");
        var difference = Difference(asked with { Tokens = 256 });
        Console.WriteLine($"largest difference between shared and dense, 256 tokens an image: {difference:g2}");

        var results = Ways.ToDictionary(way => way, _ => new List<(double Seconds, double Megabytes)>());
        for (var round = 0; round < asked.Rounds; round++)
        {
            foreach (var way in Ways)
            {
                results[way].Add(InProcess(way, asked));
            }
        }

        var dense = Median(results["dense"].Select(result => result.Seconds));
        foreach (var way in Ways)
        {
            var seconds = Median(results[way].Select(result => result.Seconds));
            var megabytes = Median(results[way].Select(result => result.Megabytes));
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{way,-7} {seconds,8:f2} s  {megabytes,8:f0} MB above inputs  {dense / seconds,6:f1}× dense"));
        }
    }

    private static (double Seconds, double Megabytes) InProcess(string way, Case sizes)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
        {
            start.ArgumentList.Add(typeof(SharedAttentionBenchmark).Assembly.Location);
        }

        foreach (var argument in (string[])["shared-attention", "--one", way, .. sizes.ToArguments()])
        {
            start.ArgumentList.Add(argument);
        }

        using var process = Process.Start(start)!;
        var answer = process.StandardOutput.ReadToEnd().Split(' ', StringSplitOptions.RemoveEmptyEntries);
        process.WaitForExit();
        return process.ExitCode == 0 && answer.Length == 2
            ? (double.Parse(answer[0], CultureInfo.InvariantCulture), double.Parse(answer[1], CultureInfo.InvariantCulture))
            : throw new InvalidOperationException($"Measuring '{way}' ended with exit code {process.ExitCode}.");
    }

    private static void Measure(string way, Case sizes)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        Attend(way, Layer.Of(sizes with { Tokens = 64 }));
        var layer = Layer.Of(sizes);
        var before = Process.GetCurrentProcess().WorkingSet64;
        var bias = way == "dense" ? layer.Bias() : null;
        var clock = Stopwatch.StartNew();
        Attend(way, layer, bias);
        var seconds = clock.Elapsed.TotalSeconds;
        var megabytes = (Process.GetCurrentProcess().PeakWorkingSet64 - before) / 1e6;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{seconds} {megabytes}"));
    }

    private static double Difference(Case sizes)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var layer = Layer.Of(sizes);
        return (Attend("shared", layer) - Attend("dense", layer)).abs().max().item<float>();
    }

    private static Tensor Attend(string way, Layer layer, Tensor? bias = null)
    {
        using var scope = NewDisposeScope();
        var (query, key, value) = (layer.Query, layer.Key, layer.Value);
        switch (way)
        {
            case "plain":
                return nn.functional.scaled_dot_product_attention(query, key, value).MoveToOuterDisposeScope();
            case "shared":
                using (var subjects = SubjectTokens.FromMasks(layer.Masks))
                {
                    return SharedAttention.Apply(query, key, value, subjects).MoveToOuterDisposeScope();
                }

            case "dense":
                return nn.functional.scaled_dot_product_attention(All(query), All(key), All(value), bias ?? layer.Bias())
                    .transpose(1, 2).unflatten(1, [query.shape[0], query.shape[2]]).squeeze(0).transpose(1, 2).MoveToOuterDisposeScope();
            default:
                throw new ArgumentException($"'{way}' is none of {string.Join(", ", Ways)}.", nameof(way));
        }

        static Tensor All(Tensor x) => x.transpose(1, 2).flatten(0, 1).unsqueeze(0).transpose(1, 2);
    }

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private sealed record Case(int Images, int Tokens, int Heads, int Width, double Masked, int Rounds)
    {
        /// <summary>What another process is to be told.</summary>
        public string[] ToArguments() =>
        [
            $"--images={Images}", $"--tokens={Tokens}", $"--heads={Heads}", $"--width={Width}",
            string.Create(CultureInfo.InvariantCulture, $"--masked={Masked}"),
        ];
    }

    /// <summary>What one layer attends to; tokens first in memory, as a model's projections leave them.</summary>
    private sealed record Layer(Tensor Query, Tensor Key, Tensor Value, Tensor Masks)
    {
        public static Layer Of(Case sizes)
        {
            using var random = new Generator(0);
            using var share = sizes.Masked.ToScalar();
            return new(Tokens(), Tokens(), Tokens(), rand([sizes.Images, sizes.Tokens], generator: random) < share);

            Tensor Tokens() => randn([sizes.Images, sizes.Tokens, sizes.Heads, sizes.Width], generator: random).transpose(1, 2);
        }

        /// <summary>0 where a token reads another, −∞ elsewhere, (images · tokens)².</summary>
        public Tensor Bias()
        {
            using var scope = NewDisposeScope();
            var (images, tokens) = (Masks.shape[0], Masks.shape[1]);
            var bias = zeros([images * tokens, images * tokens]);
            using var lowest = float.NegativeInfinity.ToScalar();
            for (var reader = 0L; reader < images; reader++)
            {
                for (var read = 0L; read < images; read++)
                {
                    if (reader != read)
                    {
                        using var block = NewDisposeScope();
                        var closed = Masks[reader].unsqueeze(1).logical_and(Masks[read].unsqueeze(0)).logical_not();
                        bias.narrow(0, reader * tokens, tokens).narrow(1, read * tokens, tokens)
                            .masked_fill_(closed, lowest);
                    }
                }
            }

            return bias.MoveToOuterDisposeScope();
        }
    }
}
