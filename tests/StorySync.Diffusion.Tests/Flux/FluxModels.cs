using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Flux;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Flux;

/// <summary>FLUX transformers of the reference, and what their cases feed them.</summary>
internal static class FluxModels
{
    public const string Group = "flux-transformer";

    /// <summary>A case of every model folder that the group has.</summary>
    public static IEnumerable<ReferenceCase> OneCaseOfEachModel
    {
        get
        {
            var found = ReferenceData.Cases.Where(c => c.Group == Group).DistinctBy(c => c.ModelPath).ToList();
            Assert.NotEmpty(found);
            return found;
        }
    }

    public static FluxTransformer2DModel Load(string folder, ScalarType dtype = ScalarType.Float32, bool streamBlocks = false) =>
        FluxTransformer2DModel.Load(ModelFolder.Open(folder), component: "", dtype, streamBlocks: streamBlocks);

    public static ITensorSource OpenWeights(string folder) => ModelFolder.Open(folder).OpenWeights("");

    public static FluxInputs Inputs(FluxTransformer2DModel model, Comparison comparison)
    {
        using var latents = comparison.Input("latents");
        return new FluxInputs(
            comparison.Input("hidden_states"),
            FluxLatents.Grid(latents.shape[2], latents.shape[3]),
            comparison.Input("encoder_hidden_states"),
            comparison.Input("pooled_projections"),
            comparison.Input("timestep"),
            model.EmbedPositions(comparison.Input("txt_ids"), comparison.Input("img_ids")))
        {
            Guidance = comparison.OptionalInput("guidance"),
        };
    }

    public static FluxInputs To(this FluxInputs inputs, ScalarType dtype) => inputs with
    {
        HiddenStates = inputs.HiddenStates.to(dtype),
        EncoderHiddenStates = inputs.EncoderHiddenStates.to(dtype),
        PooledProjections = inputs.PooledProjections.to(dtype),
    };

    /// <summary>The model's answer, as bytes.</summary>
    public static byte[] Run(FluxTransformer2DModel model, FluxInputs inputs, DenoisingContext? context = null)
    {
        using var inference = inference_mode();
        using var output = model.call(inputs, context ?? new DenoisingContext());
        return output.bytes.ToArray();
    }
}
