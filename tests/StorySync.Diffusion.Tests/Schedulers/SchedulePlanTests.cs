using StorySync.Diffusion.Schedulers;
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
        { new PNDMScheduler(new()), new() { Steps = 3 }, "'skip_prk_steps'" },
        { new FlowMatchEulerDiscreteScheduler(new() { UseDynamicShifting = true }), new() { Steps = 3 }, "ScheduleOptions.Mu" },
        { new FlowMatchEulerDiscreteScheduler(new()), new() { Steps = 3, Sigmas = [1, 0.5] }, "differ" },
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
        var (clean, noise) = (randn(2, 4, 3, 3), randn(2, 4, 3, 3));

        var each = plan.AddNoise(clean, noise, 0, 3);

        Assert.True(plan.AddNoise(clean, noise, 0)[0].Equals(each[0]));
        Assert.True(plan.AddNoise(clean, noise, 3)[1].Equals(each[1]));
        Assert.Throws<ArgumentException>(() => plan.AddNoise(clean, noise, 0, 1, 2));
    }
}
