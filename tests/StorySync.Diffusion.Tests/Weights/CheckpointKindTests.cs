using StorySync.Diffusion.Weights;
using StorySync.TestSupport;

namespace StorySync.Diffusion.Tests.Weights;

public class CheckpointKindTests
{
    [Theory]
    [InlineData("sdxl-unet", "an SDXL UNet's")]
    [InlineData("sd15-unet", "an SD 1.5 UNet's")]
    [InlineData("sd21-unet", "an SD 2.x UNet's")]
    [InlineData("kandinsky3-unet", "Kandinsky 3's UNet's")]
    [InlineData("kandinsky3-movq", "MoVQ's (Kandinsky's autoencoder)")]
    [InlineData("flux-dev-transformer", "a FLUX transformer's with guidance embedding (FLUX.1 dev)")]
    [InlineData("flux-schnell-transformer", "a FLUX transformer's without guidance embedding (FLUX.1 schnell)")]
    [InlineData("flux-vae", "FLUX.1's autoencoder's")]
    [InlineData("sdxl-vae", "an SD or SDXL autoencoder's")]
    [InlineData("sdxl-text-encoder", "a CLIP text encoder's")]
    [InlineData("sdxl-text-encoder-2", "a CLIP text encoder's with projection (SDXL's second)")]
    [InlineData("clip-vit-large-patch14", "a whole CLIP model's, with image tower")]
    [InlineData("t5-xxl-encoder", "a T5 model's")]
    [InlineData("flan-ul2-encoder", "a T5 model's")]
    public void Published_models_are_recognised_by_their_tensors(string manifest, string kind)
    {
        var json = ReferenceData.Json($"manifests/{manifest}.json");
        var tensors = json.GetProperty("shapes").EnumerateObject().ToDictionary(
            entry => entry.Name,
            entry => new TensorInfo(entry.Name, SafetensorsDtype.F32, [.. entry.Value.EnumerateArray().Select(size => size.GetInt64())]));
        Assert.Equal(kind, CheckpointKind.Guess(tensors));
    }

    [Theory]
    [InlineData("unet.down_blocks.1.attn1.to_k.lora_A.weight", "a LoRA's")]
    [InlineData("lora_unet_down_blocks_1.lora_down.weight", "a LoRA's")]
    [InlineData("model.diffusion_model.input_blocks.0.0.weight", "a single file's")]
    [InlineData("double_blocks.0.img_attn.proj.weight", "a FLUX transformer's in the original layout")]
    [InlineData("controlnet_cond_embedding.conv_in.weight", "a ControlNet's")]
    [InlineData("lora_te_text_model.lora_down.weight", "a LoRA's")]
    [InlineData("decoder.mid_block.resnets.0.conv1.weight", "FLUX.1's autoencoder's")]
    public void Files_of_other_layouts_are_recognised(string name, string kind) => Assert.StartsWith(
        kind, CheckpointKind.Guess(new Dictionary<string, TensorInfo> { [name] = new(name, SafetensorsDtype.F32, 1) }),
            StringComparison.Ordinal);

    [Fact]
    public void A_UNet_of_another_width_is_recognised() => Assert.Equal("another UNet's", Guess("down_blocks.0.x", "time_embedding.x"));

    [Theory]
    [InlineData("any.weight")]
    [InlineData("single_transformer_blocks.0.norm.weight")]
    [InlineData("context_embedder.weight")]
    [InlineData("down_blocks.0.resnets.0.conv1.weight")]
    [InlineData("time_embedding.linear_1.weight")]
    [InlineData("add_embedding.linear_1.weight")]
    [InlineData("post_quant_conv.weight")]
    [InlineData("text_projection.weight")]
    [InlineData("layers.0.self_attn.k_proj.weight")]
    public void Half_of_what_marks_a_model_is_no_mark(string name) => Assert.Null(Guess(name));

    private static string? Guess(params string[] names) =>
        CheckpointKind.Guess(names.ToDictionary(name => name, name => new TensorInfo(name, SafetensorsDtype.F32, 1)));

    [Fact]
    public void Nothing_is_guessed_of_what_is_unknown() => Assert.Null(CheckpointKind.Guess(new Dictionary<string, TensorInfo>()));
}
