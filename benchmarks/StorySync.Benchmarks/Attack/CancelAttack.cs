using System.Diagnostics;
using StorySync.Attention;
using StorySync.Pipelines;
using static TorchSharp.torch;

namespace StorySync.Benchmarks.Attack;

/// <summary>A run is canceled in each call of each attention layer, at each report of progress, and at any moment: it ends so, and the
/// next one draws what it drew before.</summary>
internal sealed class CancelAttack : IAttack
{
    private const int Reports = 5;
    private readonly DiffusionPipeline[] pipelines;
    private readonly (byte[] Image, int Calls, TimeSpan Time)[] alone;
    private int most;

    public CancelAttack(string models)
    {
        pipelines = TinyModels.LoadAll(models);
        alone = [.. pipelines.Select(pipeline =>
        {
            var image = TinyModels.Draw(pipeline);
            var watch = Stopwatch.StartNew();
            var counter = new Canceller(int.MaxValue, null);
            TinyModels.Draw(pipeline, TinyModels.Request() with { AttentionProcessor = counter });
            return (image, counter.Calls, watch.Elapsed);
        })];
    }

    public string Input { get; private set; } = "";

    public string Try(int index, Random random)
    {
        var model = index % pipelines.Length;
        var (image, calls, time) = alone[model];
        var at = index / pipelines.Length % (calls + Reports + (calls / 2));
        using var source = new CancellationTokenSource();
        var ending = at < calls ? InLayer(model, at + 1, source)
            : at < calls + Reports ? AtReport(model, at - calls, source) : AtAnyTime(model, time * random.NextDouble(), source);
        Ending.Require(TinyModels.Draw(pipelines[model]).AsSpan().SequenceEqual(image), "The next run draws another image.");
        return ending;
    }

    public string Conclude() => $"attention calls of two steps: {string.Join(", ", alone.Zip(TinyModels.Names, (one, name) =>
        $"{one.Calls} ({name})"))}; after a cancelled one at most {most} more";

    public void Dispose() => Array.ForEach(pipelines, pipeline => pipeline.Dispose());

    private string InLayer(int model, int call, CancellationTokenSource source)
    {
        Input = $"{TinyModels.Names[model]}, in attention call {call}";
        var canceller = new Canceller(call, source);
        var ending = Cancelled(source, () =>
            TinyModels.Draw(pipelines[model], TinyModels.Request() with { AttentionProcessor = canceller }, source.Token));
        Ending.Require(ending != "drawn", "The run went on.");
        most = Math.Max(most, canceller.Calls - call);
        return $"{ending} in a layer";
    }

    private string AtReport(int model, int report, CancellationTokenSource source)
    {
        Input = $"{TinyModels.Names[model]}, at report {report}";
        var ending = Cancelled(source, () =>
            pipelines[model].Generate(TinyModels.Request(), new Reporter(report, source), source.Token).Dispose());
        Ending.Require(ending != "drawn" || report == Reports - 1, "The run went on.");
        return $"{ending} at a report";
    }

    private string AtAnyTime(int model, TimeSpan delay, CancellationTokenSource source)
    {
        Input = $"{TinyModels.Names[model]}, after {delay.TotalMilliseconds:f2} ms";
        source.CancelAfter(delay);
        return $"{Cancelled(source, () => TinyModels.Draw(pipelines[model], token: source.Token))} at any moment";
    }

    private static string Cancelled(CancellationTokenSource source, Action run) => Ending.Of(
        () =>
        {
            run();
            return "drawn";
        },
        exception => exception is OperationCanceledException cancelled && cancelled.CancellationToken == source.Token);

    private sealed class Canceller(int at, CancellationTokenSource? source) : IAttentionProcessor
    {
        public int Calls { get; private set; }

        public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
        {
            Calls++;
            if (Calls == at)
            {
                source!.Cancel();
            }

            return PlainAttention.Instance.Attend(layer, inputs, context);
        }
    }

    private sealed class Reporter(int at, CancellationTokenSource source) : IProgress<GenerationProgress>
    {
        private int reports;

        public void Report(GenerationProgress value)
        {
            if (reports++ == at)
            {
                source.Cancel();
            }
        }
    }
}
