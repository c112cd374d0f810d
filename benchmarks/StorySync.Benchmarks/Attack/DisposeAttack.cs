using System.Diagnostics;
using StorySync.Pipelines;

namespace StorySync.Benchmarks.Attack;

/// <summary>A pipeline is disposed while it draws: the run is canceled, or its image is the right one.</summary>
internal sealed class DisposeAttack : IAttack
{
    private const int Steps = 4;
    private readonly string models;
    private readonly byte[][] images;
    private readonly TimeSpan[] times;

    public DisposeAttack(string models)
    {
        this.models = models;
        var drawn = TinyModels.Names.Select(name =>
        {
            using var pipeline = Load(name);
            var image = TinyModels.Draw(pipeline, TinyModels.Request(Steps));
            var watch = Stopwatch.StartNew();
            TinyModels.Draw(pipeline, TinyModels.Request(Steps));
            return (image, time: watch.Elapsed);
        }).ToArray();
        (images, times) = ([.. drawn.Select(one => one.image)], [.. drawn.Select(one => one.time)]);
    }

    public string Input { get; private set; } = "";

    public string Try(int index, Random random)
    {
        var model = index % TinyModels.Names.Length;
        var (runs, disposers) = (random.Next(1, 3), random.Next(1, 3));
        var delay = times[model] * (1.3 * runs * random.NextDouble());
        Input = $"{TinyModels.Names[model]}, {runs} runs, disposed by {disposers} after {delay.TotalMilliseconds:f2} ms";
        var pipeline = Load(TinyModels.Names[model]);
        var endings = Enumerable.Range(0, runs).Select(_ => Task.Run(() => Run(pipeline, model))).ToArray();
        Thread.Sleep(delay);
        Parallel.For(0, disposers, _ => pipeline.Dispose());
        Task.WaitAll(endings);
        Ending.Require(
            Ending.Of(() => $"{TinyModels.Draw(pipeline).Length} bytes", exception => exception is ObjectDisposedException)
                == nameof(ObjectDisposedException),
            "A disposed pipeline draws.");
        return endings.Select(ending => ending.Result).Order(StringComparer.Ordinal).First();
    }

    public void Dispose()
    {
    }

    private DiffusionPipeline Load(string name) => TinyModels.Load(Path.Combine(models, name));

    private string Run(DiffusionPipeline pipeline, int model) => Ending.Of(
        () =>
        {
            var image = TinyModels.Draw(pipeline, TinyModels.Request(Steps));
            Ending.Require(image.AsSpan().SequenceEqual(images[model]), "The image is another one.");
            return "the right image";
        },
        exception => exception is ObjectDisposedException or OperationCanceledException);
}
