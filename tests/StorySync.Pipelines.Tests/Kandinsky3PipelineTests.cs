using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

public class Kandinsky3PipelineTests(Kandinsky3Model model) : IClassFixture<Kandinsky3Model>
{
    private static readonly GenerationRequest Two = new()
    {
        Prompts = ["a red fox walks through the snowy forest at dawn", "a fox"],
        Steps = 2,
        Seed = 0,
    };

    private Kandinsky3Pipeline Pipeline => model.Pipeline;

    [Fact]
    public void Prompts_are_cut_behind_the_padding_that_follows_the_longest()
    {
        using var scope = NewDisposeScope();
        var lengths = Two.Prompts.Select(p => Pipeline.Tokenize(Two, p).AttentionMask.Sum()).ToList();
        var (text, mask) = Encode(Two, guidance: false);

        Assert.Equal([2, lengths.Max() + 1], mask.shape);
        Assert.Equal(mask.shape, text.shape[..2]);
        Assert.Equal(lengths, mask.sum(1).data<long>().ToArray());
        Assert.Equal(0, (text * (1 - mask).unsqueeze(2)).abs().max().item<float>());

        var endless = Two with { Prompts = [string.Join(' ', Enumerable.Repeat("fox", 200))] };
        Assert.Equal([1, 128], Encode(endless, guidance: false).Mask.shape);
    }

    [Fact]
    public void Without_a_negative_prompt_its_half_is_zero_and_one_for_all_serves_every_prompt()
    {
        using var scope = NewDisposeScope();
        var (none, noMask) = Encode(Two, guidance: true);
        Assert.Equal(0, none[..2].abs().max().item<float>());
        Assert.Equal(0, noMask[..2].max().item<long>());

        var (one, oneMask) = Encode(Two with { NegativePrompts = ["blurry"] }, guidance: true);
        var (each, eachMask) = Encode(Two with { NegativePrompts = ["blurry", "blurry"] }, guidance: true);
        TensorAssert.SameBits(one, each);
        TensorAssert.SameBits(oneMask, eachMask);
        Assert.NotEqual(0, oneMask[..2].max().item<long>());
    }

    [Fact]
    public void With_several_pictures_texts_and_masks_come_in_diffusers_different_orders()
    {
        using var scope = NewDisposeScope();
        var two = new Kandinsky3Request { Prompts = Two.Prompts, CutsToLongestPrompt = true };
        var (text, mask) = Encode(two, guidance: false);
        var (texts, masks) = Encode(two with { ImagesPerPrompt = 2 }, guidance: false);

        TensorAssert.SameBits(texts, text[tensor(new long[] { 0, 0, 1, 1 })]);
        TensorAssert.SameBits(masks, mask[tensor(new long[] { 0, 1, 0, 1 })]);

        // An image that depends on its own prompt alone has its own prompt's mask.
        var (_, own) = Encode(Two with { ImagesPerPrompt = 2 }, guidance: false);
        TensorAssert.SameBits(own, mask[tensor(new long[] { 0, 0, 1, 1 })]);
    }

    [Fact]
    public void A_LoRA_changes_the_picture_and_is_taken_off_to_the_bit()
    {
        using var scope = NewDisposeScope();
        var (path, weight) = Pipeline.UNet.named_parameters().First(p => p.name.EndsWith("to_q.weight", StringComparison.Ordinal));
        using var folder = new TemporaryFolder();
        var file = folder.PathOf("style.safetensors");
        SafetensorsWriter.Write(file, new Dictionary<string, Tensor>
        {
            [$"unet.{path[..^".weight".Length]}.lora_A.weight"] = ones(2, weight.shape[1]),
            [$"unet.{path[..^".weight".Length]}.lora_B.weight"] = ones(weight.shape[0], 2),
        });
        var request = Two with { Height = 64, Width = 64, LatentsOnly = true };

        using var before = Pipeline.Generate(request);
        Pipeline.Loras.Load(file);
        using var with = Pipeline.Generate(request);
        Pipeline.Loras.Remove("style");
        using var after = Pipeline.Generate(request);

        Assert.False(before.Latents.SameBitsAs(with.Latents));
        TensorAssert.SameBits(before.Latents, after.Latents);
    }

    [Fact]
    public void A_size_is_rounded_up_to_whole_blocks_of_latents()
    {
        using var result = Pipeline.Generate(Two with { Prompts = ["a fox"], Height = 60, Width = 70, Steps = 1 });

        Assert.Equal([1, 4, 8, 16], result.Latents.shape);
        var cell = Pipeline.Movq.SpatialFactor;
        Assert.Equal((16 * cell, 8 * cell), (result.Images[0].Width, result.Images[0].Height));
        var error = Assert.Throws<ArgumentException>(() => Pipeline.Generate(Two with { Height = 0 }));
        Assert.Contains("Height is 0", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Image_to_image_begins_with_the_noised_latents_of_the_picture()
    {
        using var scope = NewDisposeScope();
        var side = Pipeline.SizeMultiple;
        var picture = new RgbImage(side, side, [.. Enumerable.Range(0, side * side * 3).Select(i => (byte)(i * 7))]);
        var noise = Seeded.Normal(1, 4, 8, 8);
        Tensor? first = null;
        var hook = Pipeline.UNet.register_forward_hook((_, inputs, _, answer) =>
        {
            first ??= inputs.Sample[..1].clone().DetachFromDisposeScope();
            return answer;
        });

        var seen = new List<float>();
        using var result = Pipeline.Generate(new GenerationRequest
        {
            Prompts = ["a fox"],
            Images = [picture],
            Strength = 0.5,
            Steps = 4,
            Noise = _ => noise.alias(),
            OnStep = step => seen.Add(step.Timestep),
        });
        hook.remove();

        // Half of the steps: of 751, 501, 251, 1 the last two. The first is noised by DDPM's definition (arXiv 2006.11239, equation 4),
        // with the cosine's share of the signal (arXiv 2102.09672, equation 17, whose steps diffusers limits to 0.999).
        Assert.Equal([251f, 1f], seen);
        static double Cosine(double t) => Math.Pow(Math.Cos((t + 0.008) / 1.008 * Math.PI / 2), 2);
        var signal = Enumerable.Range(0, 252).Aggregate(
            1.0, (product, t) => product * Math.Max(Cosine((t + 1) / 1000.0) / Cosine(t / 1000.0), 0.001));
        using var mode = inference_mode();
        var expected = (Pipeline.Movq.Encode(picture.ToTensor()) * Math.Sqrt(signal)) + (noise * Math.Sqrt(1 - signal));
        Assert.True(expected.allclose(first!, rtol: 1e-5, atol: 1e-6));
        first!.Dispose();
    }

    [Fact]
    public void Offloading_changes_no_bit_of_the_result()
    {
        using var offloaded = Kandinsky3Pipeline.Load(Kandinsky3Model.Folder, new PipelineOptions { Device = "cpu", Offload = true });
        using var expected = Pipeline.Generate(Two with { Height = 64, Width = 64, LatentsOnly = true });
        using var actual = offloaded.Generate(Two with { Height = 64, Width = 64, LatentsOnly = true });

        TensorAssert.SameBits(expected.Latents, actual.Latents);
    }

    [Theory]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float16)]
    public void Half_precision_stays_within_numbers(ScalarType dtype)
    {
        using var half = Kandinsky3Pipeline.Load(Kandinsky3Model.Folder, new PipelineOptions { Device = "cpu", Dtype = dtype });
        using var result = half.Generate(Two with { Height = 64, Width = 64 });

        Assert.Equal(dtype, result.Latents.dtype);
        Assert.True(result.Latents.isfinite().all().item<bool>());
    }

    [Fact]
    public void A_model_folder_finds_its_pipeline()
    {
        using var found = DiffusionPipeline.Load(Kandinsky3Model.Folder, new PipelineOptions { Device = "cpu" });
        Assert.IsType<Kandinsky3Pipeline>(found);
    }

    private (Tensor Text, Tensor Mask) Encode(GenerationRequest request, bool guidance)
    {
        using var mode = inference_mode();
        var embeddings = (Kandinsky3Embeddings)Pipeline.Encode(request, 64, 64, guidance, default);
        return (embeddings.Text, embeddings.Mask);
    }
}
