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
    [InlineData("""{ "_class_name": "DDPMScheduler", "timestep_spacing": "leading", "steps_offset": 1000 }""", "'steps_offset' is 1000; it must be below")]
    [InlineData("""{ "_class_name": "TCDScheduler", "original_inference_steps": 2000 }""", "'original_inference_steps' is 2000")]
    [InlineData("""{ "_class_name": "EDMEulerScheduler", "sigma_min": 2, "sigma_max": 1 }""", "'sigma_min' is 2; it must be below")]
    [InlineData(
        """{ "_class_name": "EDMDPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++", "solver_order": 3 }""", "'solver_order'")]
    [InlineData("""{ "_class_name": "LCMScheduler", "original_inference_steps": 2000 }""", "'original_inference_steps' is 2000")]
    [InlineData("""{ "_class_name": "DDIMScheduler", "beta_start": "small" }""", "'beta_start'")]
    [InlineData("""{ "_class_name": "DEISMultistepScheduler" }""", "'_class_name' is DEISMultistepScheduler; it must be one of DDIMScheduler")]
    [InlineData("{ }", "'_class_name' is missing")]
    [InlineData("""{ "_class_name": "EulerDiscreteScheduler", "use_karras_sigmas": true, "use_beta_sigmas": true }""", "more than one is true")]
    [InlineData("""{ "_class_name": "HeunDiscreteScheduler", "use_exponential_sigmas": true, "use_beta_sigmas": true }""", "more than one is true")]
    [InlineData("""{ "_class_name": "DPMSolverMultistepScheduler", "use_karras_sigmas": true, "use_exponential_sigmas": true }""", "more than one is true")]
    [InlineData("""{ "_class_name": "FlowMatchEulerDiscreteScheduler", "use_karras_sigmas": true, "use_beta_sigmas": true }""", "more than one is true")]
    [InlineData("""{ "_class_name": "FlowMatchEulerDiscreteScheduler", "base_image_seq_len": 64, "max_image_seq_len": 64 }""", "are both 64; they must differ")]
    [InlineData("""{ "_class_name": "DPMSolverMultistepScheduler", "base_image_seq_len": 64, "max_image_seq_len": 64 }""", "are both 64; they must differ")]
    [InlineData("""{ "_class_name": "UniPCMultistepScheduler", "base_image_seq_len": 64, "max_image_seq_len": 64 }""", "are both 64; they must differ")]
    [InlineData("""{ "_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min", "prediction_type": "flow_prediction" }""", "cannot be flow_prediction")]
    [InlineData("""{ "_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver", "final_sigmas_type": "sigma_min", "solver_order": 3 }""", "'solver_order' cannot be 3")]
    [InlineData("""{ "_class_name": "UniPCMultistepScheduler", "predict_x0": false, "prediction_type": "flow_prediction" }""", "'predict_x0' is false")]
    [InlineData("""{ "_class_name": "UniPCMultistepScheduler", "predict_x0": false, "thresholding": true }""", "'predict_x0' is false")]
    [InlineData("""{ "_class_name": "DDIMScheduler", "beta_start": 0, "beta_end": 0 }""", "every beta must be above 0 and below 1")]
    [InlineData("""{ "_class_name": "DDIMScheduler", "beta_start": 0.5, "beta_end": 1 }""", "every beta must be above 0 and below 1")]
    [InlineData("""{ "_class_name": "DDIMScheduler", "num_train_timesteps": 3, "trained_betas": [0.5, 1, 0.5] }""", "every beta must be above 0 and below 1")]
    [InlineData("""{ "_class_name": "DDIMScheduler", "num_train_timesteps": 3, "trained_betas": [0, 0.5, 0.5] }""", "every beta must be above 0 and below 1")]
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

    [Fact]
    public void A_value_that_only_the_config_forbids_is_refused_in_code_too() => Assert.Contains(
        "'prediction_type' is noise",
        Assert.Throws<ArgumentException>(() => new DDIMScheduler(new() { PredictionType = "noise" })).Message,
        StringComparison.Ordinal);

    [Fact]
    public void A_config_of_json_is_named_and_no_parameter_of_ours_is()
    {
        using var json = JsonDocument.Parse("""{ "_class_name": "DDIMScheduler", "num_train_timesteps": 2, "trained_betas": [0.1] }""");

        var message = Assert.Throws<ModelFileException>(() => Scheduler.FromConfig(json.RootElement)).Message;

        Assert.StartsWith("scheduler config", message, StringComparison.Ordinal);
        Assert.DoesNotContain("(Parameter", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_scheduler_gives_back_the_entries_that_it_was_made_from()
    {
        using var json = JsonDocument.Parse("""
            { "_class_name": "EulerDiscreteScheduler", "num_train_timesteps": 500, "of_another_class": 7 }
            """);

        var config = Scheduler.FromConfig(json.RootElement, nameof(DDIMScheduler)).ToConfig();

        Assert.Equal("DDIMScheduler", config.GetProperty("_class_name").GetString());
        Assert.Equal(500, config.GetProperty("num_train_timesteps").GetInt32());
        Assert.Equal(7, config.GetProperty("of_another_class").GetInt32());
    }

    [Fact]
    public void A_scheduler_made_in_code_gives_the_entries_that_are_not_defaults()
    {
        var made = new DDIMSchedulerConfig { BetaEnd = 0.03 };
        var scheduler = new DDIMScheduler(made);

        Assert.Same(made, scheduler.Config);
        var config = scheduler.ToConfig();
        Assert.Equal("DDIMScheduler", config.GetProperty("_class_name").GetString());
        Assert.Equal(0.03, config.GetProperty("beta_end").GetDouble());
        Assert.False(config.TryGetProperty("beta_start", out _));
    }

    /// <summary>diffusers' default.</summary>
    [Fact]
    public void LCM_scales_timesteps_by_10() => Assert.Equal(10, new LCMSchedulerConfig().TimestepScaling);

    [Fact]
    public void What_a_model_predicts_and_on_which_line_is_told()
    {
        Assert.Equal(("epsilon", false), Traits(new DDIMScheduler(new())));
        Assert.Equal(("flow_prediction", true), Traits(new FlowMatchEulerDiscreteScheduler(new())));
        Assert.Equal(("flow_prediction", true), Traits(
            new UniPCMultistepScheduler(new() { UseFlowSigmas = true, PredictionType = "flow_prediction" })));

        static (string, bool) Traits(Scheduler scheduler) => (scheduler.PredictionType, scheduler.UsesFlowSigmas);
    }

    [Fact]
    public void A_model_index_names_the_class()
    {
        using var folder = new TemporaryFolder();
        folder.Write("model_index.json", """{ "_class_name": "AnyPipeline", "scheduler": ["diffusers", "DDIMScheduler"] }""");
        folder.Write("scheduler/scheduler_config.json", """{ "_class_name": "EulerDiscreteScheduler", "num_train_timesteps": 321 }""");

        Assert.Equal(321, Assert.IsType<DDIMScheduler>(Scheduler.Load(ModelFolder.Open(folder.Path))).TrainTimesteps);
    }

    [Fact]
    public void A_class_of_the_model_index_that_is_not_known_is_named_with_that_file()
    {
        using var folder = new TemporaryFolder();
        var index = folder.Write("model_index.json", """{ "_class_name": "AnyPipeline", "scheduler": ["diffusers", "NoScheduler"] }""");
        folder.Write("scheduler/scheduler_config.json", """{ "_class_name": "EulerDiscreteScheduler" }""");

        var message = Assert.Throws<ModelFileException>(() => Scheduler.Load(ModelFolder.Open(folder.Path))).Message;

        Assert.StartsWith(index, message, StringComparison.Ordinal);
        Assert.Contains("'scheduler' is NoScheduler", message, StringComparison.Ordinal);
    }
}
