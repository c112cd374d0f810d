using System.Text.Json;
using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Schedulers;

/// <summary>Every entry of every scheduler's config with values that it cannot have: the config is refused by entry, the number of steps is
/// refused, or the steps are made.</summary>
public class SchedulerEntryTests
{
    private static readonly string[] Values =
    [
        "-1", "0", "1", "2", "3", "0.5", "64", "500", "4096", "1000000", "2147483647", "2147483648", "-0.5", "1e-9", "1e9", "1e308",
            "1e400",
        "-1e400", "\"NaN\"", "\"Infinity\"", "\"-Infinity\"", "\"x\"", "\"\"", "\"linear\"", "\"v_prediction\"", "\"sample\"",
            "\"trailing\"",
        "\"leading\"", "\"learned_range\"", "\"sde-dpmsolver\"", "\"dpmsolver\"", "\"sigma_min\"", "\"squaredcos_cap_v2\"",
            "\"continuous\"",
        "\"log_linear\"", "true", "false", "null", "[]", "[0.5]", "[null]", "[-1, 7]", "{}",
    ];

    public static TheoryData<string> Classes() => [.. Scheduler.ClassNames.Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Classes))]
    public void An_entry_with_an_odd_value_is_named_or_does_no_harm(string name)
    {
        var keys = Scheduler.FromConfig(Parse("{}"), name).Config.GetType().GetProperties()
            .Where(property => property.SetMethod is not null).Select(ComponentConfig.KeyOf).ToList();
        Assert.NotEmpty(keys);
        foreach (var key in keys)
        {
            foreach (var value in Values)
            {
                var what = $"{name}: {key} = {value}";
                Scheduler scheduler;
                try
                {
                    scheduler = Scheduler.FromConfig(Parse($$"""{"{{key}}": {{value}}}"""), name);
                }
                catch (ModelFileException error)
                {
                    Assert.True(error.Message.Contains(key, StringComparison.Ordinal), $"{what}: {error.Message}");
                    continue;
                }
                catch (Exception error)
                {
                    Assert.Fail($"{what}: {error}");
                    throw;
                }

                foreach (var steps in (int[])[1, 4, 40])
                {
                    var error = Record.Exception(() => Run(scheduler, steps));
                    Assert.True(error is null or ArgumentException { ParamName: null }, $"{what}, {steps} steps: {error}");
                }
            }
        }
    }

    private static void Run(Scheduler scheduler, int steps)
    {
        using var scope = NewDisposeScope();
        var plan = scheduler.CreatePlan(new ScheduleOptions { Steps = steps, Mu = scheduler.MuOf(64) });
        using var run = plan.Start(like => zeros_like(like));
        var sample = ones(1, 4, 2, 2);
        for (var call = 0; call < Math.Min(plan.Timesteps.Length, 6); call++)
        {
            var output = run.ScaleModelInput(sample);
            var channels = scheduler.Config is DDPMSchedulerConfig { LearnsVariance: true } ? cat([output, output], 1) : output;
            sample = run.Step(channels, sample).PrevSample;
        }
    }

    private static JsonElement Parse(string json)
    {
        using var document = JsonDocument.Parse(json);
        return document.RootElement.Clone();
    }
}
