using System.Text.Json;
using StorySync.Diffusion.Schedulers;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Schedulers;

public class SchedulerParityTests
{
    public static TheoryData<string> Cases() => ReferenceData.CaseNames(c => c.Group == "scheduler");

    [Theory]
    [MemberData(nameof(Cases))]
    public void Tables_and_trajectory_are_those_of_diffusers(string name)
    {
        using var mode = inference_mode();
        using var comparison = new Comparison(ReferenceData.Case(name));
        var parameters = comparison.Case.Params;
        var scheduler = Scheduler.FromConfig(parameters.GetProperty("config"), comparison.Case.Call.Split('.', '(')[1]);
        var options = Options(parameters);
        var plan = scheduler.CreatePlan(options);

        Assert.Equal(parameters.GetProperty("order").GetInt32(), plan.Order);
        comparison.Check("out.timesteps", tensor(plan.Timesteps.ToArray()));
        comparison.Check("out.sigmas", tensor(plan.Sigmas.ToArray()));
        comparison.Check("out.init_noise_sigma", tensor([plan.InitNoiseSigma]));
        if (scheduler is DiffusionScheduler diffusion)
        {
            comparison.Check("out.alphas_cumprod", tensor(diffusion.AlphasCumprod.ToArray()));
        }

        if (options.Mu is { } mu)
        {
            comparison.Check("out.mu", tensor([(float)mu]));
        }

        float[] rows = [plan.Timesteps[0], plan.Timesteps[plan.Timesteps.Length / 2], plan.Timesteps[^1]];
        comparison.Check("out.noisy_timesteps", tensor(rows));
        comparison.Check("out.noisy",
            plan.AddNoise(comparison.Input("clean"), comparison.Input("clean_noise"), [.. rows.Select(plan.IndexOf)]));
        Follow(plan, comparison);
        comparison.AssertAll();
    }

    private static void Follow(SchedulePlan plan, Comparison comparison)
    {
        var (denoise, eta) = (FakeDenoiser.Of(comparison.Case.Params), Eta(comparison.Case.Params));
        var tape = new NoiseTape(comparison.OptionalInput("step_noises"));
        var noiseOfStep = comparison.OptionalInput("noise_of_step")?.data<long>().ToArray();
        var sample = comparison.Input("start_noise") * plan.InitNoiseSigma;
        List<Tensor> samples = [sample], inputs = [], predictions = [], originals = [];

        using var run = plan.Start(tape.Draw, eta: eta);
        while (!run.IsFinished)
        {
            inputs.Add(run.ScaleModelInput(sample));
            predictions.Add(denoise(inputs[^1], run.Timestep));
            var drawn = tape.Drawn;
            var output = run.Step(predictions[^1], sample);
            Assert.Equal(noiseOfStep?[run.Index - 1] ?? -1, tape.Drawn > drawn ? drawn : -1);
            Assert.InRange(tape.Drawn, drawn, drawn + 1);
            sample = output.PrevSample;
            samples.Add(sample);
            originals.Add(output.PredOriginalSample);
        }

        Assert.Equal(tape.Length, tape.Drawn);
        comparison.Check("out.samples", stack(samples));
        comparison.Check("out.model_inputs", stack(inputs));
        comparison.Check("out.model_outputs", stack(predictions));
        if (comparison.Expects("out.pred_original_samples"))
        {
            // The other classes of diffusers keep theirs to themselves: see PredOriginalSampleTests and SchedulerOptionTests.
            comparison.Check("out.pred_original_samples", stack(originals));
        }
    }

    private static ScheduleOptions Options(JsonElement parameters)
    {
        var given = parameters.GetProperty("set_timesteps");
        return new ScheduleOptions
        {
            Steps = given.TryGetProperty("timesteps", out _) ? null : parameters.GetProperty("steps").GetInt32(),
            Timesteps = Numbers(given, "timesteps"),
            Sigmas = Numbers(given, "sigmas"),
            Mu = given.TryGetProperty("mu", out var mu) ? mu.GetDouble() : null,
        };
    }

    private static double[]? Numbers(JsonElement given, string key) =>
        given.TryGetProperty(key, out var numbers) ? [.. numbers.EnumerateArray().Select(n => n.GetDouble())] : null;

    private static double Eta(JsonElement parameters) =>
        parameters.GetProperty("step").TryGetProperty("eta", out var eta) ? eta.GetDouble() : 0;
}
