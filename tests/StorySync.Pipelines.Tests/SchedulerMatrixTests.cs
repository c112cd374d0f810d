using System.Text.Json.Nodes;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Every scheduler with every prediction type on a model gives the latents of diffusers' pipeline; those that draw noise in their
/// steps do so in half precision too.</summary>
public class SchedulerMatrixTests
{
    private const string Prompt = "A red fox walks through the snowy forest";

    public static TheoryData<string> Runs()
    {
        using var golden = new Golden("scheduler-matrix.safetensors");
        return [.. golden.Names.Where(name => !name.StartsWith("rounding.", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];
    }

    [Theory]
    [MemberData(nameof(Runs))]
    public void The_latents_are_those_of_diffusers(string run)
    {
        var parts = run.Split('.');
        var (model, scheduler, prediction, variant, type) = (parts[0], parts[1], parts[2], parts[3], parts[4]);
        using var golden = new Golden("scheduler-matrix.safetensors");
        using var copy = new ModelCopy(Path.Combine(ReferenceData.OwnRoot, "models", model));
        copy.Set("scheduler/scheduler_config.json", "prediction_type", prediction);
        var words = variant.Split('-');
        var smooth = words.Contains("smooth");
        Set("sde", "algorithm_type", "sde-dpmsolver++");
        Set("smooth", "clip_sample", false);
        Set("smooth", "beta_schedule", "scaled_linear");
        Set("flow", "use_flow_sigmas", true);
        Set("flow", "use_dynamic_shifting", true);
        Set("edm", "sigma_min", 0.002);
        Set("edm", "sigma_max", 80.0);

        using var pipeline = DiffusionPipeline.Load(copy.Path, new PipelineOptions
        {
            Device = "cpu", Dtype = Enum.Parse<ScalarType>(type, ignoreCase: true), Scheduler = scheduler,
        });
        using var result = pipeline.Generate(new GenerationRequest
        {
            Prompts = [Prompt],
            Height = 64,
            Width = 64,
            Steps = variant == "few" ? 3 : 5,
            GuidanceScale = smooth ? 2 : 4,
            Seed = 3,
            LatentsOnly = true,
            Eta = (words[0], prediction, scheduler, model) switch
            {
                ("eta", "v_prediction", _, _) => 0.9,
                ("eta", _, _, _) => 0.4,

                // diffusers' pipeline leaves this scheduler its own default.
                (_, _, "TCDScheduler", "tiny-kandinsky3") => 0.3,
                _ => 0,
            },
        });

        using var scope = NewDisposeScope();
        var actual = result.Latents.to(float32);
        var exact = golden[run.Replace(type, "float32", StringComparison.Ordinal)];
        var size = Root(exact);
        var error = Root(actual - exact) / size;
        if (type == "float32")
        {
            // A prediction can be divided by almost nothing, and rounding grows with it: how much was measured in diffusers, between two
            // sets of kernels.
            var rounding = golden["rounding." + run].item<float>();
            Assert.InRange(10 * rounding, 0, 0.02);
            Assert.InRange(error, 0, (10 * rounding) + 1e-4);
        }
        else
        {
            // Rounding takes diffusers as far from its own result in float32.
            var rounding = Root(golden[run] - exact) / size;
            Assert.InRange(2 * rounding, 0, 0.3);
            Assert.InRange(error, 0, 2 * rounding);
        }

        void Set(string word, string entry, JsonNode value)
        {
            if (words.Contains(word))
            {
                copy.Set("scheduler/scheduler_config.json", entry, value);
            }
        }

        static float Root(Tensor values) => values.pow(2).mean().sqrt().item<float>();
    }
}
