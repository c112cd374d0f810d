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
        new FlowMatchEulerDiscreteScheduler(new() { StochasticSampling = true }),
    ];

    [Theory]
    [MemberData(nameof(Multistep))]
    public void Runs_of_one_plan_do_not_disturb_each_other(Scheduler scheduler)
    {
        using var scope = NewDisposeScope();
        var plan = scheduler.CreatePlan(6);
        var (first, second) = (randn(1, 4, 3, 3), randn(1, 4, 3, 3));
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
        using var start = randn(2, 4, 3, 3);
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
        var (sample, output, noise) = (randn(1, 4, 3, 3), randn(1, 4, 3, 3), randn(1, 4, 3, 3));
        using var fixedRun = new DDPMScheduler(new() { VarianceType = "fixed_large" }).CreatePlan(4).Start(_ => noise);
        using var learnedRun = new DDPMScheduler(new() { VarianceType = "learned_range" }).CreatePlan(4).Start(_ => noise);

        var expected = fixedRun.Step(output, sample).PrevSample;
        var actual = learnedRun.Step(cat([output, ones_like(output)], 1), sample).PrevSample;

        Assert.True(actual.allclose(expected, rtol: 1e-5, atol: 1e-6));
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
