using StorySync.Diffusion.Lora;
using StorySync.Diffusion.Sdxl;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Lora;

/// <summary>What LoRA files say of themselves.</summary>
public class LoraInspectionTests
{
    [Theory]
    [InlineData("comfy", "ComfyUI")]
    [InlineData("kohya", "kohya")]
    [InlineData("peft", "diffusers / PEFT")]
    [InlineData("xlabs", "XLabs")]
    public void Layouts_of_FLUX_are_told_apart(string layout, string format)
    {
        var found = LoraAdapters.Inspect(Path.Combine(ReferenceData.OwnRoot, "loras", $"flux-{layout}.safetensors"));

        Assert.Equal((format, "FLUX.1"), (found.Format, found.Family));
        Assert.Equal([2L], found.Ranks);
        Assert.Contains("transformer", found.Targets.Keys);
        Assert.DoesNotContain("unet", found.Targets.Keys);
        Assert.Equal(layout == "kohya", found.Targets.ContainsKey("text_encoder"));
        Assert.Empty(found.TriggerWords);
        Assert.Null(found.Name);
    }

    [Theory]
    [InlineData(2048, "SDXL")]
    [InlineData(768, "Stable Diffusion 1")]
    [InlineData(1024, "Stable Diffusion 2")]
    [InlineData(640, null)]
    public void A_file_of_kohya_tells_of_its_training(long width, string? family)
    {
        using var folder = new TemporaryFolder();
        var path = Write(folder, new()
        {
            ["ss_output_name"] = "paper-cut",
            ["ss_sd_model_name"] = "sd_xl_base_1.0.safetensors",
            ["ss_tag_frequency"] = """{"10_paper": {"papercut ": 7, "fox": 9}, "3_more": {"papercut": 5}}""",
            ["modelspec.trigger_phrase"] = "a papercut of",
        }, width);
        var found = LoraAdapters.Inspect(path);

        Assert.Equal((family, "kohya", "paper-cut"), (found.Family, found.Format, found.Name));
        Assert.Equal("sd_xl_base_1.0.safetensors", found.BaseModel);
        Assert.Equal(["a papercut of", "papercut", "fox"], found.TriggerWords);
        Assert.Equal([4L, 8], found.Ranks);
        Assert.Equal([2d, 8], found.Alphas);
        Assert.Equal(["LoCon", "LoRA"], found.Kinds);
        Assert.Equal([("text_encoder", 1), ("unet", 2)], found.Targets.Select(target => (target.Key, target.Value)));
        Assert.Equal(4, found.Metadata.Count);
    }

    [Theory]
    [InlineData("modelspec.architecture", "stable-diffusion-xl-v1-base/lora", "SDXL")]
    [InlineData("ss_base_model_version", "flux1", "FLUX.1")]
    [InlineData("ss_base_model_version", "sd_v1", "Stable Diffusion 1")]
    [InlineData("ss_base_model_version", "None", null)]
    [InlineData("ss_tag_frequency", "[3", null)]
    [InlineData("ss_tag_frequency", """{"a": 3}""", null)]
    public void Metadata_tells_what_the_layers_do_not(string key, string value, string? family)
    {
        using var folder = new TemporaryFolder();
        var found = LoraAdapters.Inspect(Write(folder, new() { [key] = value }, 640));

        Assert.Equal(family, found.Family);
        Assert.Empty(found.TriggerWords);
    }

    [Fact]
    public void What_fits_a_model_and_what_does_not_is_told_without_loading()
    {
        using var model = UNet2DConditionModel.Load(ModelFolder.Open(Path.Combine(ReferenceData.OwnRoot, "models", "tiny-sdxl")));
        using var loras = new LoraAdapters([("unet", model, model.Config.LayersPerBlock[0])]);
        using var folder = new TemporaryFolder();
        var weight = model.get_parameter("conv_in.weight")!;
        var path = folder.PathOf("some.safetensors");
        using (NewDisposeScope())
        {
            SafetensorsWriter.Write(path, new Dictionary<string, Tensor>
            {
                ["unet.conv_in.lora_A.weight"] = ones([2, .. weight.shape[1..]]),
                ["unet.conv_in.lora_B.weight"] = ones(weight.shape[0], 2, 1, 1),
                ["unet.conv_out.lora_A.weight"] = ones(2, 3, 3, 3),
                ["unet.conv_out.lora_B.weight"] = ones(7, 2, 1, 1),
                ["unet.elsewhere.lora_A.weight"] = ones(2, 3),
                ["unet.elsewhere.lora_B.weight"] = ones(3, 2),
            });
        }

        var fit = loras.CheckFit(path);

        Assert.False(fit.Fits);
        Assert.Equal(["unet.conv_in"], fit.Matching);
        Assert.Equal(["unet.conv_out"], fit.Mismatched);
        Assert.Equal(["unet.elsewhere"], fit.Unknown);
        Assert.Empty(loras.Scales);
    }

    [Fact]
    public void What_is_no_LoRA_is_refused() => Assert.Throws<ModelFileException>(() => LoraAdapters.Inspect(
        Path.Combine(ReferenceData.OwnRoot, "models", "tiny-sdxl", "unet", "diffusion_pytorch_model.safetensors")));

    private static string Write(TemporaryFolder folder, Dictionary<string, string> metadata, long width)
    {
        using var scope = NewDisposeScope();
        var path = folder.PathOf("kohya.safetensors");
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor>
        {
            ["lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight"] = ones(4, width),
            ["lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_up.weight"] = ones(6, 4),
            ["lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.alpha"] = tensor(2f),
            ["lora_unet_input_blocks_1_0_in_layers_2.lora_down.weight"] = ones(8, 3, 3, 3),
            ["lora_unet_input_blocks_1_0_in_layers_2.lora_up.weight"] = ones(6, 8, 1, 1),
            ["lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight"] = ones(8, 12),
            ["lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_up.weight"] = ones(20, 8),
        }, metadata);
        return path;
    }
}
