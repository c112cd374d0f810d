using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using StorySync.Pipelines;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Benchmarks.DeviceCheck;

/// <summary>A run of the check: what is asked, and what was found so far. The report is written after every row, so that it is there
/// whatever a row does to the process.</summary>
internal sealed class DeviceCheckRun : IDisposable
{
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(15);
    private readonly Stopwatch clock = Stopwatch.StartNew();
    private readonly TimeSpan limit;
    private readonly string report;
    private readonly List<(string Part, string Name, string Result)> rows = [];
    private readonly Timer watchdog;
    private string part = "";

    public DeviceCheckRun(string device, bool small, TimeSpan limit, string report)
    {
        (Name, Small, this.limit, this.report) = (device, small, limit, report);
        Device = OnCuda ? new Device(DeviceType.CUDA, 0) : CPU;
        watchdog = new Timer(_ => Stop(), null, limit + Grace, Timeout.InfiniteTimeSpan);
    }

    public string Name { get; }

    public Device Device { get; }

    public bool OnCuda => Name != "cpu";

    public bool Small { get; }

    public string? Only { get; init; }

    /// <summary>Gets the folder of tiny models, or null.</summary>
    public string? Models { get; init; }

    public int Failures { get; private set; }

    public bool IsLate => clock.Elapsed > limit;

    public void Part(string name, Action<DeviceCheckRun> work)
    {
        part = name;
        if (name != "abi" && OnCuda && !cuda.is_available())
        {
            Add("device", "FAILED: libtorch finds no CUDA device", failed: true);
            return;
        }

        try
        {
            using var mode = inference_mode();
            work(this);
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            Add("part", Failure(exception), failed: true);
        }
    }

    /// <summary>Runs a row; what it throws becomes its result.</summary>
    public void Row(string name, Func<string> work)
    {
        if (Only is not null && !Only.Split(',').Any(part => name.Contains(part, StringComparison.Ordinal)))
        {
            return;
        }

        if (IsLate)
        {
            Add(name, "not run: out of time");
            return;
        }

        var watch = Stopwatch.StartNew();
        try
        {
            using var scope = NewDisposeScope();
            Add(name, work() + Invariant($" [{watch.Elapsed.TotalSeconds:F1} s]"));
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            Add(name, Failure(exception), failed: true);
        }
    }

    /// <summary>Whether there is a model: the embedded one, or one of <see cref="Models"/>.</summary>
    public bool Has(string model) => model == "storybook" || (Models is not null && Directory.Exists(Path.Combine(Models, model)));

    /// <summary>Waits until the device has done what it was told.</summary>
    public void Synchronize()
    {
        if (OnCuda)
        {
            cuda.synchronize();
        }
    }

    /// <summary>Loads the embedded model or one of <see cref="Models"/>.</summary>
    public DiffusionPipeline Load(string model, ScalarType dtype = ScalarType.Float32, string? device = null, Func<PipelineOptions,
        PipelineOptions>? change = null)
    {
        var options = new PipelineOptions { Device = device ?? Name, Dtype = dtype };
        return DiffusionPipeline.Load(model == "storybook" ? model : Path.Combine(Models!, model), change?.Invoke(options) ?? options);
    }

    /// <summary>Gets the memory in use on the card, of all processes; 0 where that is not told.</summary>
    public static long CardMiB() =>
        long.TryParse(AskCard("memory.used").Split('\n')[0], CultureInfo.InvariantCulture, out var mib) ? mib : 0;

    public static string Invariant(FormattableString text) => FormattableString.Invariant(text);

    public void Dispose() => watchdog.Dispose();

    private static string AskCard(string what)
    {
        try
        {
            using var process = Process.Start(
                new ProcessStartInfo("nvidia-smi", $"--query-gpu={what} --format=csv,noheader,nounits") { RedirectStandardOutput = true })!;
            return process.StandardOutput.ReadToEnd().Trim();
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return "";
        }
    }

    private static string Failure(Exception exception)
    {
        var inner = exception is AggregateException or TypeInitializationException ? exception.InnerException ?? exception : exception;
        var text = inner.Message.ReplaceLineEndings(" ");
        return $"FAILED: {inner.GetType().Name}: {text[..Math.Min(text.Length, 200)]}";
    }

    private void Add(string name, string result, bool failed = false)
    {
        Failures += failed ? 1 : 0;
        lock (rows)
        {
            rows.Add((part, name, result));
            Console.WriteLine($"{part,-8} {name,-40} {result}");
            Write();
        }
    }

    private void Stop()
    {
        part = "stopped";
        Add("time", Invariant($"stopped after {limit.TotalMinutes:F1} minutes"), failed: true);
        Environment.Exit(3);
    }

    private void Write()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(report))!);
        var card = OnCuda && AskCard("name") is { Length: > 0 } name ? name : RuntimeInformation.ProcessArchitecture + " CPU";
        File.WriteAllLines(report,
        [
            $"# {card}, {DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)}",
            "",
            $"`device-check --device {Name}{(Small ? " --small" : "")}`, TorchSharp for libtorch {torch.__version__}, {Failures} failures.",
            "",
            "| part | row | result |",
            "|---|---|---|",
            .. rows.Select(row => $"| {row.Part} | {row.Name} | {row.Result.Replace("|", "\\|", StringComparison.Ordinal)} |"),
        ]);
    }
}
