using System.Text.Json;
using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.Tests.Weights;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;

namespace StorySync.Diffusion.Tests.Schedulers;

public class SchedulerConfigTests
{
    [Theory]
    [InlineData("""{ "_class_name": "EulerDiscreteScheduler", "beta_schedule": "cubic" }""", "'beta_schedule' is cubic; it must be one of linear, scaled_linear")]
    [InlineData("""{ "_class_name": "DDPMScheduler", "variance_type": "fixed_large_log" }""", "'variance_type' is fixed_large_log; it must be one of")]
    [InlineData("""{ "_class_name": "EulerAncestralDiscreteScheduler", "prediction_type": "sample" }""", "'prediction_type' is sample; it must be one of")]
    [InlineData("""{ "_class_name": "DPMSolverMultistepScheduler", "solver_order": 4 }""", "'solver_order' is 4; it must be from 1 to 3")]
    [InlineData("""{ "_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "dpmsolver" }""", "'final_sigmas_type' must be sigma_min")]
    [InlineData("""{ "_class_name": "DPMSolverMultistepScheduler", "variance_type": "learned" }""", "'variance_type' is learned; it must not be")]
    [InlineData("""{ "_class_name": "UniPCMultistepScheduler", "use_karras_sigmas": true, "use_beta_sigmas": true }""", "'use_karras_sigmas'")]
    [InlineData("""{ "_class_name": "UniPCMultistepScheduler", "shift_terminal": 0.1 }""", "'shift_terminal' is set, which needs 'use_flow_sigmas'")]
    [InlineData("""{ "_class_name": "DDIMScheduler", "trained_betas": [0.1, 0.2] }""", "'trained_betas' has 2 entries")]
    [InlineData("""{ "_class_name": "LCMScheduler", "original_inference_steps": 2000 }""", "'original_inference_steps' is 2000")]
    [InlineData("""{ "_class_name": "DDIMScheduler", "beta_start": "small" }""", "'beta_start'")]
    [InlineData("""{ "_class_name": "DEISMultistepScheduler" }""", "'_class_name' is DEISMultistepScheduler; it must be one of DDIMScheduler")]
    [InlineData("{ }", "'_class_name' is missing")]
    public void What_is_not_supported_is_named_with_the_file(string json, string message)
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("scheduler_config.json", json);

        var exception = Assert.Throws<ModelFileException>(() => Scheduler.Load(path));

        Assert.StartsWith(path, exception.Message, StringComparison.Ordinal);
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_as_python_writes_it_is_read()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("scheduler_config.json", """
            {
              "_class_name": "DPMSolverMultistepScheduler",
              "lambda_min_clipped": -Infinity,
              "trained_betas": null,
              "not_an_option": "-Infinity, NaN"
            }
            """);

        Assert.IsType<DPMSolverMultistepScheduler>(Scheduler.Load(path));
    }

    [Fact]
    public void Another_class_takes_the_entries_that_it_knows()
    {
        using var json = JsonDocument.Parse("""
            { "_class_name": "EulerDiscreteScheduler", "num_train_timesteps": 500, "beta_schedule": "scaled_linear", "interpolation_type": "linear" }
            """);

        var scheduler = Assert.IsType<UniPCMultistepScheduler>(Scheduler.FromConfig(json.RootElement, nameof(UniPCMultistepScheduler)));

        Assert.Equal(500, scheduler.TrainTimesteps);
    }

    [Fact]
    public void A_config_made_in_code_is_checked_too() =>
        Assert.Contains("'beta_schedule' is cubic", Assert.Throws<ArgumentException>(
            () => new DDIMScheduler(new DDIMSchedulerConfig { BetaSchedule = "cubic" })).Message, StringComparison.Ordinal);
}
