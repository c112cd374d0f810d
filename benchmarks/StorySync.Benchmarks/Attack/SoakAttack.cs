using System.Globalization;
using StorySync.Pipelines;
using TorchSharp;

namespace StorySync.Benchmarks.Attack;

/// <summary>Stories one after the other: neither tensors nor memory grow.</summary>
internal sealed class SoakAttack(string models) : IAttack
{
    private const int WarmUp = 10;
    private const double MostInAll = 16 << 20;
    private readonly DiffusionPipeline[] pipelines = TinyModels.LoadAll(models);
    private readonly List<(long Memory, long Tensors)> after = [];

    public string Input { get; private set; } = "";

    public string Try(int index, Random random)
    {
        Input = $"story {index}";
        var story = new Story { Subjects = ["a frog"], Scenes = [new("a frog in the forest"), new("a frog at the beach")] };
        var options = new StoryOptions { Request = new() { Steps = 2, Height = 64, Width = 64, Seed = random.Next() } };
        foreach (var pipeline in pipelines)
        {
            pipeline.GenerateStory(story, options).Dispose();
        }

        GC.Collect();
        GC.WaitForPendingFinalizers();
        after.Add((PrivateMemory.Read(), torch.Tensor.TotalCount));
        return "a story on each model";
    }

    public string? Conclude()
    {
        var counted = after.Skip(WarmUp).ToList();
        if (counted.Count < WarmUp)
        {
            return null;
        }

        var memory = Slope([.. counted.Select(one => (double)one.Memory)]);
        var tensors = Slope([.. counted.Select(one => (double)one.Tensors)]);
        var found = string.Create(CultureInfo.InvariantCulture,
            $"slope of live tensors {tensors:g2} a story, of private memory {memory / 1024:f1} KiB a story "
            + $"({counted[0].Memory >> 20} → {counted[^1].Memory >> 20} MiB)");
        Ending.Require(tensors == 0 && memory * counted.Count <= MostInAll, $"It grows: {found}.");
        return found;
    }

    public void Dispose() => Array.ForEach(pipelines, pipeline => pipeline.Dispose());

    /// <summary>The median of the slopes between values of the first and of the second half, as Theil and Sen have it: a jump moves it
    /// little.</summary>
    private static double Slope(double[] values)
    {
        var half = values.Length / 2;
        double[] slopes = [.. Enumerable.Range(0, half).Select(i => (values[i + half] - values[i]) / half).Order()];
        return slopes[half / 2];
    }
}
