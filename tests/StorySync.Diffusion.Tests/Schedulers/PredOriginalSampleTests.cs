using StorySync.Diffusion.Schedulers;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Schedulers;

/// <summary>The clean sample that a step predicts, where the model's answer follows from a known one by the definition of what it
/// predicts.</summary>
public class PredOriginalSampleTests
{
    private const int Steps = 7;

    /// <summary>Every class with every kind of answer that it takes, and the ways of a class that compute something else.</summary>
    public static TheoryData<Scheduler> Schedulers()
    {
        var all = new List<Scheduler>();
        foreach (var type in (string[])["epsilon", "sample", "v_prediction"])
        {
            all.AddRange(
            [
                new EulerDiscreteScheduler(new() { PredictionType = type == "sample" ? "original_sample" : type }),
                new HeunDiscreteScheduler(new() { PredictionType = type }),
                new DDIMScheduler(new() { PredictionType = type, ClipSample = false }),
                new DDPMScheduler(new() { PredictionType = type }),
                new LCMScheduler(new() { PredictionType = type }),
                new DPMSolverMultistepScheduler(new() { PredictionType = type, SolverOrder = 3 }),
                new DPMSolverMultistepScheduler(new() { PredictionType = type, AlgorithmType = "sde-dpmsolver++" }),
                new DPMSolverMultistepScheduler(
                    new() { PredictionType = type, AlgorithmType = "dpmsolver", FinalSigmasType = "sigma_min" }),
                new UniPCMultistepScheduler(new() { PredictionType = type }),
                new UniPCMultistepScheduler(new() { PredictionType = type, PredictX0 = false }),
            ]);
            if (type != "sample")
            {
                all.AddRange(
                [
                    new EulerAncestralDiscreteScheduler(new() { PredictionType = type }),
                    new PNDMScheduler(new() { PredictionType = type }),
                    new PNDMScheduler(new() { PredictionType = type, SkipPrkSteps = true }),
                ]);
            }
        }

        all.AddRange(
        [
            new FlowMatchEulerDiscreteScheduler(new()),
            new FlowMatchEulerDiscreteScheduler(new() { Shift = 3, StochasticSampling = true }),
            new FlowMatchEulerDiscreteScheduler(new() { InvertSigmas = true }),
            new DPMSolverMultistepScheduler(new() { PredictionType = "flow_prediction", UseFlowSigmas = true }),
            new UniPCMultistepScheduler(new() { PredictionType = "flow_prediction", UseFlowSigmas = true }),
        ]);
        return [.. all];
    }

    [Theory]
    [MemberData(nameof(Schedulers))]
    public void A_model_that_knows_the_clean_sample_makes_every_step_predict_it(Scheduler scheduler)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var random = new Generator(5, CPU);
        var clean = (rand([2, 4, 3, 3], generator: random) * 1.8) - 0.9;
        var plan = scheduler.CreatePlan(Steps);
        var sample = randn(clean.shape, generator: random) * plan.InitNoiseSigma;
        using var run = plan.Start(like => randn(like.shape, generator: random));
        while (!run.IsFinished)
        {
            (sample, var original) = run.Step(Answer(scheduler, run, sample, clean), sample);
            TensorAssert.Close(clean, original, 2e-4);
        }
    }

    [Fact]
    public void Where_the_scheduler_clips_it_is_the_clipped_one()
    {
        using var scope = NewDisposeScope();
        using var run = new DDIMScheduler(new() { PredictionType = "sample", ClipSampleRange = 0.5 }).CreatePlan(2).Start();
        var (_, original) = run.Step(tensor([-2f, 0.25f, 2], [1, 1, 1, 3]), zeros(1, 1, 1, 3));

        TensorAssert.Close(tensor([-0.5f, 0.25f, 0.5f], [1, 1, 1, 3]), original, 0);
    }

    /// <summary>What the model answers: x = signal · clean + noise · ε by the class's way of adding noise, and v = signal · ε − noise ·
    /// clean of the sample as the model sees it, whose variance is kept.</summary>
    private static Tensor Answer(Scheduler scheduler, SchedulerRun run, Tensor sample, Tensor clean)
    {
        var (plan, type) = (run.Plan, scheduler.PredictionType);
        if (type == "flow_prediction")
        {
            // The way from the clean sample to noise; for inverted sigmas, which rise to 1, the way back.
            var sigma = plan.Sigmas[run.Index];
            return plan.Sigmas[^1] == 1 ? (clean - sample) / (1 - sigma) : (sample - clean) / sigma;
        }

        var (signal, noise) = plan.Sigmas.IsEmpty
            ? Level(Math.Sqrt(1 / (double)((DiffusionScheduler)scheduler).AlphasCumprod[(int)run.Timestep] - 1))
            : Level(plan.Sigmas[run.Index]);
        var addsNoise = scheduler is EulerDiscreteScheduler or EulerAncestralDiscreteScheduler or HeunDiscreteScheduler;
        var seen = addsNoise ? sample * signal : sample;
        var epsilon = (seen - (signal * clean)) / noise;
        return type switch
        {
            "epsilon" => epsilon,
            "v_prediction" => (signal * epsilon) - (noise * clean),
            _ => clean.clone(),
        };

        static (double Signal, double Noise) Level(double sigma) =>
            (1 / Math.Sqrt((sigma * sigma) + 1), sigma / Math.Sqrt((sigma * sigma) + 1));
    }
}
