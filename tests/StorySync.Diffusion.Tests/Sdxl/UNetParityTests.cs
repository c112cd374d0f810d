using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Sdxl;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Sdxl;

public class UNetParityTests
{
    public static TheoryData<string> Forwards() => ReferenceData.CaseNames(c => c.Group == "sdxl-unet");

    public static TheoryData<string> AttentionLayers() =>
        ReferenceData.CaseNames(c => c.Group == "attention" && c.Name.StartsWith("attention-sdxl-", StringComparison.Ordinal));

    [Theory]
    [MemberData(nameof(Forwards))]
    public void Forward_pass_is_that_of_diffusers(string name)
    {
        using var mode = inference_mode();
        using var comparison = new Comparison(ReferenceData.Case(name));
        using var model = Load(comparison.Case.ModelPath);
        Activations.Watch(comparison, model);

        var sample = model.call(
            new UNetInputs(comparison.Input("sample"), comparison.Input("timestep"), comparison.Input("encoder_hidden_states"))
            {
                TextEmbeds = comparison.OptionalInput("text_embeds"),
                TimeIds = comparison.OptionalInput("time_ids"),
                EncoderAttentionMask = comparison.OptionalInput("encoder_attention_mask"),
            },
            new DenoisingContext());

        comparison.Check("out.sample", sample);
        comparison.AssertAll();
    }

    [Theory]
    [MemberData(nameof(AttentionLayers))]
    public void Attention_layer_is_that_of_diffusers(string name)
    {
        using var mode = inference_mode();
        using var comparison = new Comparison(ReferenceData.Case(name));
        using var model = Load(comparison.Case.ModelPath);
        var path = comparison.Case.Params.GetProperty("module").GetString();
        var layer = (AttentionBlock)model.named_modules().Single(m => m.name == path).module;
        var hidden = comparison.Input("hidden_states");

        var output = layer.call(hidden, comparison.OptionalInput("encoder_hidden_states"),
            new BlockContext(hidden, hidden, null, new DenoisingContext()));

        comparison.Check("out.output", output);
        comparison.AssertAll();
    }

    private static UNet2DConditionModel Load(string path) => UNet2DConditionModel.Load(ModelFolder.Open(path), component: "");
}
