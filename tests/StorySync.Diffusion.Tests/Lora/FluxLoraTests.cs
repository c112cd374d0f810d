using StorySync.Diffusion.Flux;
using StorySync.Diffusion.Lora;
using StorySync.Diffusion.Sdxl;
using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Lora;

/// <summary>LoRAs for FLUX in the layouts that people have, and the weights that diffusers makes with them (<c>make_loras.py</c> in
/// <c>tests/Reference</c>).</summary>
public class FluxLoraTests
{
    private static string Folder => Path.Combine(ReferenceData.OwnRoot, "models", "tiny-flux");

    private static string Lora(string name) => Path.Combine(ReferenceData.OwnRoot, "loras", $"flux-{name}.safetensors");

    [Theory]
    [InlineData("kohya")]
    [InlineData("comfy")]
    [InlineData("xlabs")]
    public void The_weights_with_a_LoRA_are_those_of_diffusers(string layout)
    {
        using var scope = NewDisposeScope();
        var folder = ModelFolder.Open(Folder);
        using var transformer = FluxTransformer2DModel.Load(folder);
        using var encoder = CLIPTextModel.Load(folder);
        var before = Weights(transformer, encoder);
        using var loras = new LoraAdapters([("transformer", transformer, null), ("text_encoder", encoder, null)]);
        loras.Load(Lora(layout), "it");
        var after = Weights(transformer, encoder);
        using var values = SafetensorsFile.Open(Lora(layout + "-values"));
        Assert.NotEmpty(values.Tensors);
        foreach (var (name, weight) in after)
        {
            // transformers 5 has no level text_model.
            var key = name.Replace("text_encoder.text_model.", "text_encoder.", StringComparison.Ordinal);
            if (values.Tensors.ContainsKey(key))
            {
                TensorAssert.Close(values.Read(key), weight, 1e-6);
            }
            else
            {
                TensorAssert.SameBits(before[name], weight);
            }
        }

        Assert.All(values.Tensors.Keys, key =>
            Assert.Contains(key.Replace("text_encoder.", "text_encoder.text_model.", StringComparison.Ordinal), after.Keys));
        loras.Remove("it");
        Assert.All(Weights(transformer, encoder), entry => TensorAssert.SameBits(before[entry.Key], entry.Value));
    }

    /// <summary>The authors' names alone, and with PEFT's prefix.</summary>
    [Theory]
    [InlineData("diffusion_model.", "", ".lora_down.weight", ".lora_up.weight")]
    [InlineData("diffusion_model.", "base_model.model.", ".lora_A.weight", ".lora_B.weight")]
    public void The_same_matrices_under_other_names_make_the_same_weights(string from, string to, string down, string up)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var transformer = FluxTransformer2DModel.Load(ModelFolder.Open(Folder));
        using var loras = new LoraAdapters([("transformer", transformer, null)]);
        loras.Load(Lora("comfy"), "it");
        var expected = Weights(("transformer", transformer));
        loras.Remove("it");
        using var file = SafetensorsFile.Open(Lora("comfy"));
        var path = folder.PathOf("x.safetensors");
        SafetensorsWriter.Write(path, file.Tensors.Keys.ToDictionary(
            name => name.Replace(from, to, StringComparison.Ordinal).Replace(".lora_down.weight", down, StringComparison.Ordinal)
                .Replace(".lora_up.weight", up, StringComparison.Ordinal),
            file.Read));
        loras.Load(path);
        Assert.All(Weights(("transformer", transformer)), entry => TensorAssert.SameBits(expected[entry.Key], entry.Value));
    }

    [Fact]
    public void A_matrix_of_all_rows_in_place_of_a_part_is_refused()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var transformer = FluxTransformer2DModel.Load(ModelFolder.Open(Folder));
        using var loras = new LoraAdapters([("transformer", transformer, null)]);
        var width = transformer.Config.NumAttentionHeads * transformer.Config.AttentionHeadDim;
        var path = folder.PathOf("x.safetensors");
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor>
        {
            ["double_blocks.0.img_attn.qkv.lora_A.weight"] = ones(1, width),
            ["double_blocks.0.img_attn.qkv.lora_B.weight"] = ones(width, 1),
        });
        Assert.Contains("do not fit a weight", Assert.Throws<ModelFileException>(() => loras.Load(path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_layer_of_a_UNet_with_a_weight_has_a_name_of_its_authors()
    {
        var config = ModelFolder.Open(Path.Combine(ReferenceData.OwnRoot, "models", "tiny-sdxl")).Config<UNet2DConditionConfig>("unet");
        using var unet = new UNet2DConditionModel(config);
        var names = LoraNames.Of("unet", unet, config.LayersPerBlock[0]).ToLookup(name => name.Layer, name => name.Name);
        var weights = ModuleTensors.ParametersOf(unet).Where(tensor => tensor.Name.EndsWith(".weight", StringComparison.Ordinal))
            .Select(tensor => tensor.Name[..^".weight".Length]).ToList();
        Assert.All(weights, layer => Assert.Contains(names[layer], name =>
            name.StartsWith("lora_unet_input_blocks_", StringComparison.Ordinal)
            || name.StartsWith("lora_unet_middle_block_", StringComparison.Ordinal)
            || name.StartsWith("lora_unet_output_blocks_", StringComparison.Ordinal)
            || name is "lora_unet_time_embed_0" or "lora_unet_time_embed_2" or "lora_unet_label_emb_0_0" or "lora_unet_label_emb_0_2"
                or "lora_unet_out_0" or "lora_unet_out_2"));
        Assert.Equal("conv_in", Assert.Single(names, group => group.Contains("diffusion_model.input_blocks.0.0")).Key);
    }

    private static Dictionary<string, Tensor> Weights(params (string Name, nn.Module Module)[] parts) => parts
        .SelectMany(part => ModuleTensors.Of(part.Module).Select(tensor =>
            ($"{part.Name}.{tensor.Name}", tensor.Values().to(float32).clone())))
        .ToDictionary(entry => entry.Item1, entry => entry.Item2);

    private static Dictionary<string, Tensor> Weights(FluxTransformer2DModel transformer, CLIPTextModel encoder) =>
        Weights(("transformer", transformer), ("text_encoder", encoder));
}
