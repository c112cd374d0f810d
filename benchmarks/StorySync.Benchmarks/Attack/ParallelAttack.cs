using StorySync.Pipelines;

namespace StorySync.Benchmarks.Attack;

/// <summary>Eight runs on each of three models, all at the same time: each draws what it draws alone.</summary>
internal sealed class ParallelAttack(string models) : IAttack
{
    private const int Runs = 8;
    private readonly DiffusionPipeline[] pipelines = TinyModels.LoadAll(models);

    public string Input { get; private set; } = "";

    public string Try(int index, Random random)
    {
        var requests = pipelines.SelectMany(pipeline => Enumerable.Range(0, Runs).Select(_ =>
            (pipeline, request: TinyModels.Request(random.Next(1, 4), random.Next())))).ToArray();
        Input = string.Join(", ", requests.Select(one => $"{one.request.Steps} steps of seed {one.request.Seed}"));
        var alone = requests.Select(one => TinyModels.Draw(one.pipeline, one.request)).ToArray();
        var together = new byte[requests.Length][];
        using var start = new Barrier(requests.Length);
        var threads = requests.Select((one, i) => Task.Factory.StartNew(
            () =>
            {
                start.SignalAndWait();
                together[i] = TinyModels.Draw(one.pipeline, one.request);
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)).ToArray();
        Task.WaitAll(threads);
        for (var i = 0; i < requests.Length; i++)
        {
            Ending.Require(alone[i].AsSpan().SequenceEqual(together[i]), $"Run {i} draws another image than alone.");
        }

        return $"the same bytes of {requests.Length} runs";
    }

    public void Dispose() => Array.ForEach(pipelines, pipeline => pipeline.Dispose());
}
