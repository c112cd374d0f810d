using System.Text.Json;
using StorySync.Diffusion.Schedulers;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Schedulers;

/// <summary>Mixtures of options, drawn at random, that the reference's cases lack. <c>Goldens/options.json</c> has what diffusers 0.42
/// computes, and what it may be missed by: each begins with the same four numbers, takes cosines of 0, 1, 2 … for noise, and is denoised by
/// tanh(0.7 x − 0.4 t / 1000).</summary>
public class SchedulerOptionTests
{
    private static readonly string Goldens =
        Path.Combine(ReferenceData.RepositoryRoot, "tests", "StorySync.Diffusion.Tests", "Schedulers", "Goldens", "options.json");

    private static readonly JsonElement[] Cases = [.. JsonSerializer.Deserialize<JsonElement>(File.ReadAllText(Goldens)).EnumerateArray()];

    public static TheoryData<int, string> Names() =>
        new(Cases.Select((c, i) => (i, $"{c.GetProperty("class")} {c.GetProperty("config").GetRawText()}")));

    [Theory]
    [MemberData(nameof(Names))]
    public void Mixed_options_give_what_diffusers_gives(int entry, string name)
    {
        using var scope = NewDisposeScope();
        var golden = Cases[entry];
        var plan = Scheduler.FromConfig(golden.GetProperty("config"), golden.GetProperty("class").GetString()).CreatePlan(Options(golden));
        AssertClose(golden, name, "timesteps", [.. plan.Timesteps]);
        if (golden.TryGetProperty("expected_sigmas", out _))
        {
            AssertClose(golden, name, "sigmas", [.. plan.Sigmas], relative: true);
        }

        var denoise = FakeDenoiser.Of(0.7, -0.4);
        var sample = tensor([0.5f, -1, 1.5f, -0.25f], [1, 2, 1, 2]) * plan.InitNoiseSigma;
        var drawn = 0;
        var originals = new List<float>();
        var begin = golden.TryGetProperty("begin", out var index) ? index.GetInt32() : 0;
        using var run = plan.Start(_ => Cosines(4 * drawn++), begin, golden.GetProperty("eta").GetDouble());
        while (!run.IsFinished)
        {
            (sample, var original) = run.Step(denoise(run.ScaleModelInput(sample), run.Timestep), sample);
            originals.AddRange(original.data<float>());
        }

        AssertClose(golden, name, "sample", sample.data<float>().ToArray());
        if (golden.TryGetProperty("expected_originals", out _))
        {
            AssertClose(golden, name, "originals", [.. originals]);
        }
    }

    private static Tensor Cosines(int from) =>
        tensor(Enumerable.Range(from, 4).Select(i => (float)Math.Cos(i)).ToArray(), [1, 2, 1, 2]);

    private static ScheduleOptions Options(JsonElement golden)
    {
        var (timesteps, sigmas) = (Numbers(golden, "timesteps"), Numbers(golden, "sigmas"));
        return new ScheduleOptions
        {
            Steps = timesteps is null && sigmas is null ? golden.GetProperty("steps").GetInt32() : null,
            Timesteps = timesteps,
            Sigmas = sigmas,
            Mu = golden.TryGetProperty("mu", out var mu) ? mu.GetDouble() : null,
        };
    }

    private static void AssertClose(JsonElement golden, string name, string key, float[] actual, bool relative = false)
    {
        var expected = Numbers(golden, $"expected_{key}")!;
        var tolerance = golden.GetProperty($"{key}_tolerance").GetDouble();
        Assert.Equal(expected.Length, actual.Length);
        Assert.All(expected.Zip(actual), pair => Assert.True(
            Math.Abs(pair.First - pair.Second) <= tolerance * (relative ? Math.Abs(pair.First) : 1),
            $"{name}: {key} {string.Join(", ", actual)} instead of {string.Join(", ", expected)}; allowed is {tolerance:g3}"));
    }

    private static double[]? Numbers(JsonElement golden, string key) =>
        golden.TryGetProperty(key, out var numbers) ? [.. numbers.EnumerateArray().Select(n => n.GetDouble())] : null;
}
