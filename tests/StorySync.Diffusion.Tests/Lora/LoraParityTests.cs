using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Lora;
using StorySync.Diffusion.Sdxl;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Lora;

public class LoraParityTests
{
    public static TheoryData<string> Cases() => ReferenceData.CaseNames(c => c.Group == "lora");

    [Theory]
    [MemberData(nameof(Cases))]
    public void Model_with_a_LoRA_is_that_of_diffusers(string name)
    {
        using var mode = inference_mode();
        using var comparison = new Comparison(ReferenceData.Case(name));
        using var unet =
            UNet2DConditionModel.Load(ModelFolder.Open(comparison.Case.PathOf(comparison.Case.Model.Split(' ')[0])), component: "");
        using var loras = new LoraAdapters([("unet", unet, unet.Config.LayersPerBlock[0])]);
        Tensor Sample() => unet.call(
            new UNetInputs(comparison.Input("sample"), comparison.Input("timestep"), comparison.Input("encoder_hidden_states"))
            {
                TextEmbeds = comparison.Input("text_embeds"),
                TimeIds = comparison.Input("time_ids"),
            },
            new DenoisingContext());

        var without = Sample();
        comparison.Check("out.sample_without", without);
        var path = comparison.Case.PathOf(comparison.Case.Files.GetProperty("lora").GetString()!);
        var scales = comparison.Case.Params.GetProperty("scales").EnumerateArray().Select(s => s.GetDouble()).ToArray();
        loras.Load(path, "golden", scales[0]);
        comparison.Check("out.sample_full", Sample());
        loras.SetScale("golden", scales[1]);
        comparison.Check("out.sample_partial", Sample());
        comparison.AssertAll();

        // Two halves of it together are the whole.
        loras.Load(path, "other half", scales[0] - scales[1]);
        comparison.Check("out.sample_full", Sample());
        comparison.AssertAll();

        loras.Enabled = false;
        TensorAssert.SameBits(without, Sample());
        loras.Enabled = true;
        loras.Remove("golden");
        loras.Remove("other half");
        TensorAssert.SameBits(without, Sample());
    }

    [Fact]
    public void Lora_of_another_model_is_refused_and_leaves_the_model_as_it_was()
    {
        using var folder = new TemporaryFolder();
        var path = folder.PathOf("stranger.safetensors");
        using var down = ones(2, 4);
        using var up = ones(4, 2);
        SafetensorsWriter.Write(
            path, new Dictionary<string, Tensor> { ["unet.nowhere.lora_A.weight"] = down, ["unet.nowhere.lora_B.weight"] = up });
        using var model = UNet2DConditionModel.Load(ModelFolder.Open(ReferenceData.PathOf("models/tiny-sdxl")));
        using var loras = new LoraAdapters([("unet", model, model.Config.LayersPerBlock[0])]);

        var error = Assert.Throws<ModelFileException>(() => loras.Load(path));

        Assert.Contains("unet.nowhere", error.Message, StringComparison.Ordinal);
        Assert.Empty(loras.Scales);
    }
}
