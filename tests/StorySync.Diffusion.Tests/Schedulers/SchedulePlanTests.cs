using StorySync.Diffusion.Schedulers;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Schedulers;

public class SchedulePlanTests
{
    public static TheoryData<Scheduler, ScheduleOptions, string> Refused() => new()
    {
        { new EulerDiscreteScheduler(new()), new() { Steps = 0 }, "at least 1" },
        { new EulerDiscreteScheduler(new()), new() { Steps = 1001 }, "more than the 1000" },
        { new EulerDiscreteScheduler(new()), new() { Steps = 4, Mu = 1 }, "takes no mu" },
        { new EulerDiscreteScheduler(new() { UseKarrasSigmas = true }), new() { Timesteps = [900, 500] }, "takes no timesteps" },
        { new EulerDiscreteScheduler(new()), new() { Steps = 3, Timesteps = [900, 500] }, "3 steps and 2 timesteps" },
        { new DDIMScheduler(new()), new() { Sigmas = [1, 0.5] }, "takes no sigmas" },
        { new DDIMScheduler(new() { StepsOffset = 1 }), new() { Steps = 1000 }, "'steps_offset'" },
        { new LCMScheduler(new()), new() { Steps = 51 }, "original_inference_steps" },
        { new TCDScheduler(new()), new() { Steps = 51 }, "original_inference_steps" },
        { new PNDMScheduler(new()), new() { Steps = 3 }, "'skip_prk_steps'" },
        { new FlowMatchEulerDiscreteScheduler(new() { UseDynamicShifting = true }), new() { Steps = 3 }, "ScheduleOptions.Mu" },
        { new FlowMatchEulerDiscreteScheduler(new()), new() { Steps = 3, Sigmas = [1, 0.5] }, "differ" },
        { new EulerDiscreteScheduler(new()), new() { Sigmas = [1] }, "at least two" },
        {
            new EulerDiscreteScheduler(new() { TimestepType = "continuous", PredictionType = "v_prediction" }),
            new() { Timesteps = [900] },
            "takes no timesteps"
        },
        { new HeunDiscreteScheduler(new() { UseKarrasSigmas = true }), new() { Timesteps = [900] }, "takes no timesteps" },
        { new DPMSolverMultistepScheduler(new() { UseKarrasSigmas = true }), new() { Timesteps = [900] }, "takes no timesteps" },
        { new DPMSolverMultistepScheduler(new() { UseLuLambdas = true }), new() { Timesteps = [900] }, "takes no timesteps" },
        { new DPMSolverMultistepScheduler(new()), new() { Steps = 3, Mu = 1 }, "takes no mu" },
        { new DPMSolverMultistepScheduler(new()), new() { Steps = 1001 }, "more than the 1000" },
        { new DPMSolverMultistepScheduler(new() { LambdaMinClipped = 100 }), new() { Steps = 3 }, "'lambda_min_clipped' is 100" },
        { new UniPCMultistepScheduler(new()), new() { Sigmas = [1, 0.5] }, "takes no sigmas" },
        { new UniPCMultistepScheduler(new()), new() { Timesteps = [900] }, "takes no timesteps" },
        { new LCMScheduler(new()), new() { Steps = 3, Mu = 1 }, "takes no mu" },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public void Options_that_do_not_fit_are_refused(Scheduler scheduler, ScheduleOptions options, string message) =>
        Assert.Contains(message, Assert.Throws<ArgumentException>(() => scheduler.CreatePlan(options)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData(1.0, 0)]
    [InlineData(0.5, 10)]
    [InlineData(0.29, 16)]
    public void Strength_leaves_out_the_first_steps_with_all_their_model_calls(double strength, int index) =>
        Assert.Equal(index, new HeunDiscreteScheduler(new()).CreatePlan(10).BeginIndex(strength));

    [Fact]
    public void Sigmas_are_one_more_than_the_steps_between_them()
    {
        var plan = new EulerDiscreteScheduler(new()).CreatePlan(new ScheduleOptions { Sigmas = [13, 0] });
        Assert.Equal((1, 1), (plan.Steps, plan.Timesteps.Length));
    }

    [Theory]
    [InlineData(-0.1)]
    [InlineData(1.1)]
    public void A_strength_outside_0_to_1_is_refused(double strength) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new DDIMScheduler(new()).CreatePlan(10).BeginIndex(strength));

    [Theory]
    [InlineData(-1)]
    [InlineData(7)]
    [InlineData(8)]
    public void A_run_begins_at_a_model_call_of_the_plan(int index)
    {
        var plan = new HeunDiscreteScheduler(new()).CreatePlan(4);
        Assert.Equal(7, plan.Timesteps.Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => plan.Start(beginIndex: index));
    }

    [Fact]
    public void A_run_that_begins_later_makes_the_calls_that_are_left()
    {
        using var scope = NewDisposeScope();
        var plan = new DDIMScheduler(new()).CreatePlan(5);
        using var run = plan.Start(beginIndex: 3);
        Assert.Equal((3, plan.Timesteps[3]), (run.Index, run.Timestep));

        var sample = ones(1, 4, 2, 2);
        for (var call = 0; call < 2; call++)
        {
            Assert.False(run.IsFinished);
            sample = run.Step(zeros(1, 4, 2, 2), sample).PrevSample;
        }

        Assert.True(run.IsFinished);
    }

    [Theory]
    [InlineData(1.0)]
    [InlineData(0.1)]
    public void The_least_strength_that_leaves_a_step_is_taken(double strength) =>
        Assert.Equal(strength == 1 ? 0 : 9, new DDIMScheduler(new()).CreatePlan(10).BeginIndex(strength));

    [Fact]
    public void A_strength_of_0_leaves_no_step() => Assert.Contains(
        "leaves none",
        Assert.Throws<ArgumentException>(() => new DDIMScheduler(new()).CreatePlan(10).BeginIndex(0)).Message,
        StringComparison.Ordinal);

    [Theory]
    [InlineData(new double[] { 900, 900, 500 }, 900f, 1)]
    [InlineData(new double[] { 900, 500, 900 }, 900f, 3)]
    [InlineData(new double[] { 900, 500, 200 }, 900f, 0)]
    public void Of_several_equal_timesteps_the_second_counts(double[] timesteps, float timestep, int index) => Assert.Equal(
        index, new HeunDiscreteScheduler(new()).CreatePlan(new ScheduleOptions { Timesteps = timesteps }).IndexOf(timestep));

    /// <summary>diffusers' <c>calculate_shift</c>, whose line runs through (256, 0.5) and (4096, 1.15) by default.</summary>
    [Theory]
    [InlineData(256, 0.5)]
    [InlineData(4096, 1.15)]
    [InlineData(2176, 0.825)]
    public void Mu_is_linear_in_the_number_of_image_tokens(int tokens, double mu)
    {
        Assert.Equal(mu, new FlowMatchEulerDiscreteScheduler(new()).CalculateShift(tokens), 1e-12);
        Assert.Equal(mu, new FlowMatchEulerDiscreteScheduler(new()).MuOf(tokens)!.Value, 1e-12);
        Assert.Equal(mu, new UniPCMultistepScheduler(new()).MuOf(tokens)!.Value, 1e-12);
        Assert.Equal(mu, new DPMSolverMultistepScheduler(new() { UseDynamicShifting = true }).MuOf(tokens)!.Value, 1e-12);
        Assert.Null(new DPMSolverMultistepScheduler(new()).MuOf(tokens));
    }

    [Fact]
    public void Mu_runs_through_the_points_of_the_config()
    {
        var scheduler = new FlowMatchEulerDiscreteScheduler(
            new() { BaseShift = 1, MaxShift = 5, BaseImageSeqLen = 100, MaxImageSeqLen = 300 });
        Assert.Equal([1, 3, 5, 7], new[] { 100, 200, 300, 400 }.Select(tokens => Math.Round(scheduler.CalculateShift(tokens), 9)));
    }

    [Fact]
    public void So_small_a_strength_that_no_step_is_left_is_refused() =>
        Assert.Throws<ArgumentException>(() => new DDIMScheduler(new()).CreatePlan(10).BeginIndex(0.09));

    [Fact]
    public void A_repeated_timestep_belongs_to_its_second_model_call()
    {
        var plan = new HeunDiscreteScheduler(new()).CreatePlan(4);

        Assert.Equal(7, plan.Timesteps.Length);
        Assert.Equal(0, plan.IndexOf(plan.Timesteps[0]));
        Assert.Equal(2, plan.IndexOf(plan.Timesteps[1]));
        Assert.Throws<ArgumentException>(() => plan.IndexOf(0.5f));
    }

    [Fact]
    public void Noise_is_added_at_one_level_for_all_rows_or_at_one_for_each()
    {
        using var scope = NewDisposeScope();
        var plan = new DDPMScheduler(new()).CreatePlan(4);
        var (clean, noise) = (Seeded.Normal(2, 4, 3, 3), Seeded.Normal(2, 4, 3, 3));

        var each = plan.AddNoise(clean, noise, 0, 3);

        Assert.True(plan.AddNoise(clean, noise, 0)[0].Equals(each[0]));
        Assert.True(plan.AddNoise(clean, noise, 3)[1].Equals(each[1]));
        Assert.Throws<ArgumentException>(() => plan.AddNoise(clean, noise, 0, 1, 2));
    }
}
