using System.CommandLine;
using System.Diagnostics;
using System.Text.Json.Nodes;
using TorchSharp;

namespace StorySync.Benchmarks;

/// <summary>How often a command repeats what it times, and on how many threads.</summary>
internal sealed class TimingOptions
{
    private readonly Option<int> iterations = PositiveOption.Create("--iters", 5, "Timed repetitions.");
    private readonly Option<int> warmup = new("--warmup") { DefaultValueFactory = _ => 1, Description = "Repetitions before them." };
    private readonly Option<int> threads = new("--threads") { Description = "Threads of libtorch; its own choice by default." };

    public void AddTo(Command command)
    {
        command.Add(iterations);
        command.Add(warmup);
        command.Add(threads);
    }

    public void SetThreads(ParseResult parsed)
    {
        if (parsed.GetValue(threads) is > 0 and var count)
        {
            torch.set_num_threads(count);
        }
    }

    /// <summary>Times the work.</summary>
    /// <returns>Median and all times in seconds, peak resident memory in MiB, threads.</returns>
    public JsonObject Run(ParseResult parsed, Action work)
    {
        for (var i = 0; i < parsed.GetValue(warmup); i++)
        {
            work();
        }

        var seconds = new List<double>();
        for (var i = 0; i < parsed.GetValue(iterations); i++)
        {
            var watch = Stopwatch.StartNew();
            work();
            seconds.Add(watch.Elapsed.TotalSeconds);
        }

        using var process = Process.GetCurrentProcess();
        return new JsonObject
        {
            ["seconds"] = seconds.Order().ElementAt(seconds.Count / 2),
            ["all"] = new JsonArray([.. seconds.Select(s => (JsonNode)s)]),
            ["peak_rss_mb"] = process.PeakWorkingSet64 / 1048576.0,
            ["threads"] = torch.get_num_threads(),
        };
    }
}
