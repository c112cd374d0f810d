using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace StorySync.Benchmarks.Attack;

/// <summary>A run of the attack: each part in a process of its own, which is watched, and the table of what came of it.</summary>
internal sealed class AttackRun(string models, int seed, string? report, string scale)
{
    private const int MostEnds = 20;
    private const int FailuresShown = 10;
    private const int Starved = 6;
    private static readonly TimeSpan ToBegin = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(100);
    private readonly List<Row> rows = [];

    public int Failures => rows.Sum(row => row.Failures.Count);

    public void Part(AttackPart part, int first, int count)
    {
        var row = new Row(part.Name);
        rows.Add(row);
        var watch = Stopwatch.StartNew();
        var (next, last) = (first, first + count);
        for (var ends = 0; next < last && ends < MostEnds; ends++)
        {
            next = Work(part, next, last, row);
        }

        row.Seconds = watch.Elapsed.TotalSeconds;
        Console.WriteLine($"{part.Name,-12} {row.Inputs,8:N0} inputs, {row.Seconds,6:f1} s: {row.Endings}");
        row.Facts.ForEach(fact => Console.WriteLine($"{"",-12} {fact}"));
        foreach (var (index, text) in row.Failures.Take(FailuresShown))
        {
            Console.WriteLine($"{"",-12} FAILED: {text}");
            Console.WriteLine($"{"",-12} again: {Again(part.Name, index)}");
        }

        Write();
    }

    public void Conclude() => Console.WriteLine(Failures == 0
        ? $"{rows.Sum(row => row.Inputs):N0} inputs, no failure" : $"{rows.Sum(row => row.Inputs):N0} inputs, {Failures} failures");

    /// <summary>Has a process make cases until it is through or ends.</summary>
    /// <returns>The case to go on with.</returns>
    private int Work(AttackPart part, int first, int last, Row row)
    {
        using var process = OwnProcess.StartWorker(part.Name, models, Text(seed), Text(first), Text(last - first));
        using var lines = new BlockingCollection<string>();
        var errors = new ConcurrentQueue<string>();
        process.OutputDataReceived += (_, line) => Take(lines, line.Data);
        process.ErrorDataReceived += (_, line) => errors.Enqueue(line.Data ?? "");
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        var (next, patience, began) = (first, ToBegin, false);
        while (Next(process, lines, patience) is { } line)
        {
            (patience, began) = (part.Hang, true);
            if (line.Split('\t') is not [var what, var outcome, var failure])
            {
                continue;
            }

            if (int.TryParse(what, CultureInfo.InvariantCulture, out var index))
            {
                row.Add(outcome, failure.Length == 0 ? null : (index, failure));
                next = index + 1;
                patience = next == last ? ToBegin : part.Hang;
            }
            else if (what == "whole")
            {
                row.Failures.Add((null, $"{failure} ({string.Join("; ", row.Facts)})"));
            }
            else if (what == "fact" && outcome.Length > 0)
            {
                row.Facts.Add(outcome);
            }
        }

        if (!lines.IsCompleted)
        {
            process.Kill(entireProcessTree: true);
            row.Add("hang", (next, $"no answer within {patience.TotalSeconds} s of the processor's time, or {Starved} times as long"));
            return next + 1;
        }

        process.WaitForExit();
        if (process.ExitCode == 0)
        {
            return last;
        }

        row.Add(OwnProcess.Ended(process.ExitCode), (next, $"the process ended: {string.Join(" ⏎ ", errors.TakeLast(12))}"));
        return began ? next + 1 : last;
    }

    /// <summary>The next line; null where there is none any more, or none in time. What counts is the time that the process had a
    /// processor, so that a busy machine hangs nothing, and where it uses none, as one that waits for itself, a longer one.</summary>
    private static string? Next(Process process, BlockingCollection<string> lines, TimeSpan patience)
    {
        var (began, used) = (Stopwatch.StartNew(), Used());
        while (!lines.IsCompleted && Used() - used < patience && began.Elapsed < patience * Starved)
        {
            if (lines.TryTake(out var line, Look))
            {
                return line;
            }
        }

        return null;

        TimeSpan Used()
        {
            try
            {
                process.Refresh();
                return process.TotalProcessorTime;
            }
            catch (InvalidOperationException)
            {
                // It has ended; its last lines are still to come.
                return TimeSpan.Zero;
            }
        }
    }

    private static void Take(BlockingCollection<string> lines, string? line)
    {
        try
        {
            if (line is null)
            {
                lines.CompleteAdding();
            }
            else
            {
                lines.Add(line);
            }
        }
        catch (ObjectDisposedException)
        {
            // The process was ended for a hang.
        }
    }

    private string Again(string part, int? index) => $"attack --parts {part} --seed {seed}"
        + (index is { } one ? $" --case {one}" : $" {scale}");

    private void Write()
    {
        if (report is null)
        {
            return;
        }

        Directory.CreateDirectory(Path.GetDirectoryName(report)!);
        File.WriteAllLines(report,
        [
            $"`attack {scale} --seed {seed}`, {DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)}, {Processor()}, "
                + $"{Environment.ProcessorCount} cores, {RuntimeInformation.OSDescription}.",
            "",
            "| part | inputs | how they ended | failures | seconds |",
            "|---|---|---|---|---|",
            .. rows.Select(row => string.Create(CultureInfo.InvariantCulture,
                $"| {row.Part} | {row.Inputs:N0} | {row.Endings} | {row.Failures.Count} | {row.Seconds:f0} |")),
            "",
            .. rows.SelectMany(row => row.Facts.Select(fact => $"- {row.Part}: {fact}")),
            .. rows.SelectMany(row => row.Failures.Select(failure =>
                $"- **{row.Part} failed**, `{Again(row.Part, failure.Index)}`: {failure.Text}")),
        ]);
    }

    private static string Processor()
    {
        const string Linux = "/proc/cpuinfo";
        var line = File.Exists(Linux)
            ? File.ReadLines(Linux).FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal)) : null;
        return line?.Split(':', 2)[1].Trim() ?? RuntimeInformation.ProcessArchitecture.ToString();
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    /// <summary>What came of a part.</summary>
    private sealed class Row(string part)
    {
        private readonly SortedDictionary<string, int> outcomes = new(StringComparer.Ordinal);

        public string Part { get; } = part;

        public List<string> Facts { get; } = [];

        public List<(int? Index, string Text)> Failures { get; } = [];

        public double Seconds { get; set; }

        public int Inputs => outcomes.Values.Sum();

        public string Endings => string.Join(", ", outcomes.OrderByDescending(outcome => outcome.Value).Select(outcome =>
            string.Create(CultureInfo.InvariantCulture, $"{outcome.Key} {outcome.Value:N0}")));

        public void Add(string outcome, (int Index, string Text)? failure)
        {
            outcomes[outcome] = outcomes.GetValueOrDefault(outcome) + 1;
            if (failure is { } found)
            {
                Failures.Add((found.Index, found.Text));
            }
        }
    }
}
