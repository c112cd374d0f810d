using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

public class FluxPipelineTests(FluxModel model) : IClassFixture<FluxModel>
{
    private static readonly FluxRequest Fox = new()
    {
        Prompts = ["A red fox walks through the snow"],
        Height = 64,
        Width = 64,
        Steps = 2,
        Seed = 0,
        MaxSequenceLength = 32,
        LatentsOnly = true,
    };

    [Fact]
    public void Its_folder_is_known()
    {
        using var pipeline = DiffusionPipeline.Load(FluxModel.SchnellFolder, new PipelineOptions { Device = "cpu" });

        Assert.IsType<FluxPipeline>(pipeline);
    }

    [Fact]
    public void Steps_are_few_without_guidance_embedding()
    {
        Assert.Equal(4, model.Schnell.DefaultSteps);
        Assert.Equal(28, model.Dev.DefaultSteps);
    }

    [Fact]
    public void Only_a_model_with_guidance_embedding_heeds_the_guidance_scale()
    {
        Assert.True(Same(model.Schnell, Fox with { GuidanceScale = 1 }, Fox with { GuidanceScale = 7 }));
        Assert.False(Same(model.Dev, Fox with { GuidanceScale = 1 }, Fox with { GuidanceScale = 7 }));
    }

    [Fact]
    public void Real_guidance_takes_a_scale_and_a_negative_prompt()
    {
        var guided = Fox with { TrueCfgScale = 3, NegativePrompts = ["a house"] };

        Assert.True(Same(model.Schnell, Fox, guided with { NegativePrompts = null }));
        Assert.True(Same(model.Schnell, Fox, guided with { TrueCfgScale = 1 }));
        Assert.False(Same(model.Schnell, Fox, guided));
    }

    [Fact]
    public void A_seed_stands_for_the_same_picture_in_any_batch()
    {
        using var alone = model.Schnell.Generate(Fox with { Seed = 6 });
        using var second = model.Schnell.Generate(Fox with { Seed = 5, ImagesPerPrompt = 2 });

        Assert.True(alone.Latents[0].allclose(second.Latents[1], 1e-4, 1e-4));
    }

    [Fact]
    public void A_step_that_the_strength_covers_in_part_is_made()
    {
        var steps = new List<int>();
        var picture = new RgbImage(64, 64, new byte[64 * 64 * 3]);
        using var result =
            model.Schnell.Generate(Fox with { Images = [picture], Steps = 7, Strength = 0.6, OnStep = step => steps.Add(step.Count) });

        Assert.Equal([5, 5, 5, 5, 5], steps);
    }

    [Fact]
    public void Streamed_blocks_give_the_same_picture()
    {
        using var streamed = FluxPipeline.Load(FluxModel.SchnellFolder, new PipelineOptions { Device = "cpu", StreamBlocks = true });
        using var whole = model.Schnell.Generate(Fox);
        using var result = streamed.Generate(Fox);

        TensorAssert.SameBits(whole.Latents, result.Latents);
    }

    [Theory]
    [InlineData("transformer.single_transformer_blocks.0.attn.to_q")]
    [InlineData("text_encoder.text_model.encoder.layers.0.self_attn.v_proj")]
    [InlineData("text_encoder.encoder.layers.0.self_attn.v_proj")]
    public void A_LoRA_is_added_to_the_layer_that_it_names(string layer)
    {
        using var scope = NewDisposeScope();
        using var pipeline = FluxPipeline.Load(FluxModel.SchnellFolder, new PipelineOptions { Device = "cpu" });
        var (component, path) = layer.StartsWith("transformer.", StringComparison.Ordinal)
            ? ((nn.Module)pipeline.Transformer, layer["transformer.".Length..])
            : (pipeline.TextEncoder, "text_model." + layer[layer.IndexOf("encoder.layers", StringComparison.Ordinal)..]);
        var weight = component.get_parameter(path + ".weight")!;
        var before = weight.clone();
        var (down, up) = (Seeded.Normal(2, weight.shape[1]), Seeded.Normal(weight.shape[0], 2));
        var file = Path.GetTempFileName();
        try
        {
            SafetensorsWriter.Write(file, new Dictionary<string,
                Tensor> { [layer + ".lora_A.weight"] = down, [layer + ".lora_B.weight"] = up });
            pipeline.Loras.Load(file, "style", scale: 0.5);

            Assert.True(weight.allclose(before + (0.5 * up.matmul(down)), 1e-5, 1e-5));
            pipeline.Loras.Remove("style");
            TensorAssert.SameBits(weight, before);
        }
        finally
        {
            File.Delete(file);
        }
    }

    public static TheoryData<string, FluxRequest> Mistakes() => new()
    {
        { "MaxSequenceLength is 0", Fox with { MaxSequenceLength = 0 } },
        { "TrueCfgScale", Fox with { TrueCfgScale = double.NaN } },
        { "Prompts2 has 2", Fox with { Prompts2 = ["a", "b"] } },
    };

    [Theory]
    [MemberData(nameof(Mistakes), DisableDiscoveryEnumeration = true)]
    public void A_mistake_is_one_clear_error(string part, FluxRequest request) =>
        Assert.Contains(part, Assert.Throws<ArgumentException>(() => model.Schnell.Generate(request)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_length_beyond_the_tokenizers_is_refused()
    {
        var most = Math.Min(512, model.Schnell.Tokenizer2.ModelMaxLength);
        Assert.Contains(
            $"MaxSequenceLength is {most + 1}; it must be from 1 to {most}",
            Assert.Throws<ArgumentException>(() => model.Schnell.Generate(Fox with { MaxSequenceLength = most + 1 })).Message,
            StringComparison.Ordinal);
    }

    /// <summary>Two latent pixels a token, on each side; how many pixels those are, the autoencoder's config says.</summary>
    [Fact]
    public void A_size_is_a_multiple_of_a_tokens_pixels()
    {
        var multiple = 2 << (model.Schnell.Vae.Config.BlockOutChannels.Count - 1);

        var error = Assert.Throws<ArgumentException>(() =>
            model.Schnell.Generate(Fox with { Height = 4 * multiple, Width = (4 * multiple) + (multiple / 2) }));
        Assert.Contains($"multiples of {multiple}", error.Message, StringComparison.Ordinal);
        using var result = model.Schnell.Generate(Fox with { Height = 4 * multiple, Width = 3 * multiple });
        Assert.Equal(4 * 3, result.Latents.shape[1]);
    }

    private static bool Same(FluxPipeline pipeline, FluxRequest first, FluxRequest second)
    {
        using var a = pipeline.Generate(first);
        using var b = pipeline.Generate(second);
        return a.Latents.equal(b.Latents).all().item<bool>();
    }
}
