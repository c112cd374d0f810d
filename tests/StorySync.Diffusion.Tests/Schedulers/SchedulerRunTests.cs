using StorySync.Diffusion.Schedulers;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Schedulers;

[Collection(typeof(AloneCollection))]
public class SchedulerRunTests
{
    private static readonly Func<Tensor, float, Tensor> Denoise = FakeDenoiser.Of(0.7, -0.4);

    /// <summary>Those that remember something from step to step.</summary>
    public static TheoryData<Scheduler> Multistep() =>
    [
        new HeunDiscreteScheduler(new()),
        new PNDMScheduler(new()),
        new PNDMScheduler(new() { SkipPrkSteps = true }),
        new DPMSolverMultistepScheduler(new() { SolverOrder = 3, AlgorithmType = "sde-dpmsolver++", PredictionType = "sample" }),
        new UniPCMultistepScheduler(new() { SolverOrder = 3 }),
        new EDMDPMSolverMultistepScheduler(new() { AlgorithmType = "sde-dpmsolver++" }),
    ];

    /// <summary>One of every class, in the form that does most in a step.</summary>
    public static TheoryData<Scheduler> All() =>
    [
        .. Multistep().Select(row => row.Data),
        new EulerDiscreteScheduler(new() { PredictionType = "sample" }),
        new EulerAncestralDiscreteScheduler(new()),
        new DDIMScheduler(new() { Thresholding = true }),
        new DDPMScheduler(new()),
        new LCMScheduler(new()),
        new TCDScheduler(new()),
        new EDMEulerScheduler(new()),
        new FlowMatchEulerDiscreteScheduler(new() { StochasticSampling = true }),
    ];

    [Theory]
    [MemberData(nameof(Multistep))]
    public void Runs_of_one_plan_do_not_disturb_each_other(Scheduler scheduler)
    {
        using var scope = NewDisposeScope();
        var plan = scheduler.CreatePlan(6);
        var (first, second) = (Seeded.Normal(1, 4, 3, 3), Seeded.Normal(1, 4, 3, 3));
        var (alone, other) = (Finish(plan, first), Finish(plan, second));

        using var run = plan.Start(Noise());
        using var interleaved = plan.Start(Noise());
        while (!run.IsFinished)
        {
            first = Step(run, first);
            second = Step(interleaved, second);
        }

        Assert.True(alone.Equals(first));
        Assert.True(other.Equals(second));
    }

    [Theory]
    [MemberData(nameof(All))]
    public void Steps_leave_their_arguments_as_they_are_and_no_tensor_behind(Scheduler scheduler)
    {
        var plan = scheduler.CreatePlan(5);
        using var start = Seeded.Normal(2, 4, 3, 3);
        using var copy = start.clone();

        LiveTensors.AssertNoneLeft(() =>
        {
            using var run = plan.Start(like => randn_like(like), eta: 0.5);
            var sample = start.alias();
            while (!run.IsFinished)
            {
                using var input = run.ScaleModelInput(sample);
                using var prediction = Predict(input, run.Timestep);
                using var kept = prediction.clone();
                var output = run.Step(prediction, sample);
                Assert.True(kept.Equals(prediction));
                output.PredOriginalSample.Dispose();
                sample.Dispose();
                sample = output.PrevSample;
            }

            sample.Dispose();
        });
        Assert.True(copy.Equals(start));
    }

    /// <summary>What each solver needs of earlier calls: Heun and Runge-Kutta the step's start and slope, the others as many outputs as
    /// their order says; a corrector also the sample that it corrects.</summary>
    [Theory]
    [InlineData("HeunDiscreteScheduler", "{}", 1, 2)]
    [InlineData("HeunDiscreteScheduler", "{}", 2, 0)]
    [InlineData("PNDMScheduler", "{}", 5, 4)]
    [InlineData("PNDMScheduler", """{ "skip_prk_steps": true }""", 7, 5)]
    [InlineData("DPMSolverMultistepScheduler", """{ "solver_order": 3 }""", 6, 3)]
    [InlineData("UniPCMultistepScheduler", """{ "solver_order": 3 }""", 6, 4)]
    public void A_run_remembers_what_its_solver_needs_until_it_is_disposed(string name, string config, int calls, int kept)
    {
        using var scope = NewDisposeScope();
        using var json = System.Text.Json.JsonDocument.Parse(config);
        var plan = Scheduler.FromConfig(json.RootElement, name).CreatePlan(8);
        var sample = Seeded.Normal(1, 4, 3, 3);
        var run = plan.Start(Noise());
        for (var call = 0; call < calls; call++)
        {
            sample = Step(run, sample);
        }

        GC.Collect();
        GC.WaitForPendingFinalizers();
        var before = Tensor.TotalCount;
        run.Dispose();
        Assert.Equal(kept, before - Tensor.TotalCount);
    }

    [Fact]
    public void A_run_ends_with_its_plan()
    {
        using var scope = NewDisposeScope();
        using var run = new DDIMScheduler(new()).CreatePlan(1).Start();
        var sample = run.Step(zeros(1, 4, 3, 3), ones(1, 4, 3, 3)).PrevSample;

        Assert.True(run.IsFinished);
        Assert.Throws<InvalidOperationException>(() => run.Step(sample, sample));
    }

    [Fact]
    public void Noise_that_is_needed_and_not_given_is_asked_for()
    {
        using var scope = NewDisposeScope();
        using var run = new EulerAncestralDiscreteScheduler(new()).CreatePlan(2).Start();
        var exception = Assert.Throws<InvalidOperationException>(() => run.Step(zeros(1, 4, 3, 3), ones(1, 4, 3, 3)));
        Assert.Contains("noise source", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_output_of_another_shape_is_refused()
    {
        using var scope = NewDisposeScope();
        using var run = new EulerDiscreteScheduler(new()).CreatePlan(2).Start();
        var exception = Assert.Throws<ArgumentException>(() => run.Step(zeros(1, 8, 3, 3), ones(1, 4, 3, 3)));
        Assert.Contains("(1, 8, 3, 3)", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_learned_variance_is_split_from_the_model_output()
    {
        using var scope = NewDisposeScope();
        var (sample, output, noise) = (Seeded.Normal(1, 4, 3, 3), Seeded.Normal(1, 4, 3, 3), Seeded.Normal(1, 4, 3, 3));
        using var fixedRun = new DDPMScheduler(new() { VarianceType = "fixed_large" }).CreatePlan(4).Start(_ => noise);
        using var learnedRun = new DDPMScheduler(new() { VarianceType = "learned_range" }).CreatePlan(4).Start(_ => noise);

        var expected = fixedRun.Step(output, sample).PrevSample;
        var actual = learnedRun.Step(cat([output, ones_like(output)], 1), sample).PrevSample;

        Assert.True(actual.allclose(expected, rtol: 1e-5, atol: 1e-6));
    }

    /// <summary>Equation 15 of arXiv 2102.09672 goes from the lower bound at −1 to the upper at 1, the geometric mean at 0.</summary>
    [Fact]
    public void A_learned_range_lies_between_the_small_and_the_large_variance()
    {
        using var scope = NewDisposeScope();
        var (sample, output) = (Seeded.Normal(1, 4, 3, 3), Seeded.Normal(1, 4, 3, 3));
        var noise = full_like(sample, 2);
        Tensor Next(string variance, Tensor given)
        {
            using var run = new DDPMScheduler(new() { VarianceType = variance }).CreatePlan(4).Start(_ => noise);
            return run.Step(given, sample).PrevSample;
        }

        Tensor Learned(string variance, double value) => Next(variance, cat([output, full_like(output, value)], 1));
        using var quiet = new DDPMScheduler(new()).CreatePlan(4).Start(_ => zeros_like(sample));
        var mean = quiet.Step(output, sample).PrevSample;
        var (small, large) = (Next("fixed_small", output) - mean, Next("fixed_large", output) - mean);

        Assert.True((Learned("learned_range", -1) - mean).allclose(small, rtol: 1e-4, atol: 1e-5));
        Assert.True((Learned("learned_range", 0) - mean).allclose((small * large).sqrt(), rtol: 1e-4, atol: 1e-5));
        Assert.True((Learned("learned", 0.25) - mean).allclose(full_like(sample, 1), rtol: 1e-4, atol: 1e-5));
    }

    /// <summary>Before the last level, which has no noise, the small variance is 0, for which diffusers takes 1e-20.</summary>
    [Fact]
    public void A_variance_of_0_counts_as_1e_20()
    {
        using var scope = NewDisposeScope();
        var scheduler = new DDPMScheduler(new() { StepsOffset = 1, PredictionType = "sample" });
        var plan = scheduler.CreatePlan(4);
        Assert.Equal(1, plan.Timesteps[^1]);
        using var run = plan.Start(_ => ones(1, 1, 1, 1), plan.Timesteps.Length - 1);

        var actual = run.Step(zeros(1, 1, 1, 1), zeros(1, 1, 1, 1)).PrevSample.item<float>();

        Assert.Equal(1e-10, actual, 1e-14);
    }

    /// <summary>diffusers makes these steps in float32 and rounds their result to the type of the model's answer.</summary>
    [Theory]
    [InlineData("EulerDiscreteScheduler", ScalarType.Float16)]
    [InlineData("EulerAncestralDiscreteScheduler", ScalarType.Float16)]
    [InlineData("FlowMatchEulerDiscreteScheduler", ScalarType.BFloat16)]
    public void Half_precision_is_stepped_in_float32_and_given_back(string name, ScalarType type)
    {
        using var scope = NewDisposeScope();
        var plan = Scheduler.From(name, new EulerDiscreteScheduler(new())).CreatePlan(5);
        var noise = Noise();
        var like = zeros(1, 4, 8, 8);
        var (output, sample, drawn) = (noise(like).to(type), noise(like).to(type), noise(like));
        using var narrow = plan.Start(_ => drawn, 3);
        using var wide = plan.Start(_ => drawn, 3);

        var actual = narrow.Step(output, sample).PrevSample;
        var expected = wide.Step(output.to(float32), sample.to(float32)).PrevSample;

        Assert.Equal(type, actual.dtype);
        Assert.True(actual.to(float32).allclose(expected, rtol: type == ScalarType.Float16 ? 2e-3 : 2e-2, atol: 1e-2));
    }

    private static Tensor Finish(SchedulePlan plan, Tensor sample)
    {
        using var run = plan.Start(Noise());
        while (!run.IsFinished)
        {
            sample = Step(run, sample);
        }

        return sample;
    }

    private static Tensor Step(SchedulerRun run, Tensor sample) =>
        run.Step(Denoise(run.ScaleModelInput(sample), run.Timestep), sample).PrevSample;

    private static Tensor Predict(Tensor input, float timestep)
    {
        using var scope = NewDisposeScope();
        return Denoise(input, timestep).MoveToOuterDisposeScope();
    }

    private static NoiseSource Noise()
    {
        var generator = new Generator(7, CPU);
        return like => randn(like.shape, generator: generator);
    }
}
