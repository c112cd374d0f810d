using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Weights that are rounded to 8 bits when they are loaded.</summary>
[Collection(typeof(AloneCollection))]
public class QuantizationTests
{
    private static readonly PipelineOptions Exact = new() { Device = "cpu" };
    private static readonly PipelineOptions Rounded = Exact with { Quantization = WeightQuantization.Int8 };

    private static string Folder(string model) => Path.Combine(ReferenceData.OwnRoot, "models", "tiny-" + model);

    /// <summary>The rounding is computed here by its definition: the model that has such weights gives the same latents.</summary>
    [Theory]
    [InlineData("sdxl", "unet")]
    [InlineData("kandinsky3", "unet")]
    [InlineData("flux", "transformer")]
    public void A_model_of_rounded_weights_is_the_one_that_is_rounded_when_it_is_loaded(string model, string denoiser)
    {
        using var copy = new ModelCopy(Folder(model), copiesWeights: true);
        foreach (var component in new[] { denoiser, "text_encoder", "text_encoder_2" }.Where(part =>
            Directory.Exists(copy.PathOf(part))))
        {
            var file = Directory.EnumerateFiles(copy.PathOf(component), "*.safetensors").Single();
            Rewrite(file);
        }

        using var expected = DiffusionPipeline.Load(copy.Path, Exact);
        using var actual = DiffusionPipeline.Load(Folder(model), Rounded);
        using var unrounded = DiffusionPipeline.Load(Folder(model), Exact);
        var request = new GenerationRequest { Prompts = ["a red fox"], Height = 64, Width = 64, Steps = 2, Seed = 3, LatentsOnly = true };
        using var first = expected.Generate(request);
        using var second = actual.Generate(request);
        using var third = unrounded.Generate(request);
        TensorAssert.Close(first.Latents, second.Latents, 1e-4);
        Assert.False(third.Latents.SameBitsAs(second.Latents));
        Assert.NotEqual(unrounded.Identity, actual.Identity);
    }

    [Fact]
    public void Rounded_weights_take_a_quarter_and_pictures_stay_near()
    {
        using var exact = StableDiffusionXLPipeline.Load("storybook", Exact);
        using var rounded = StableDiffusionXLPipeline.Load("storybook", Rounded);
        var request = new GenerationRequest { Prompts = ["a bear in the snow"], Steps = 8, Seed = 3 };
        long Weights(DiffusionPipeline pipeline, string part) => pipeline.PlanMemory(request).Weights.Single(w => w.Part == part).Bytes;

        using var first = exact.Generate(request);
        using var second = rounded.Generate(request);
        var pixels = first.Images[0].Pixels.ToArray().Zip(second.Images[0].Pixels.ToArray());
        var squares = pixels.Average(pair => (double)(pair.First - pair.Second) * (pair.First - pair.Second));
        Assert.InRange(squares, 1e-6, 1);

        // A byte for each weight of a layer and a float32 scale for each of its rows; float32 for everything else.
        var shapes = CheckpointShapes.Of(rounded.UNet).Shapes.Values;
        Assert.Equal(
            shapes.Sum(shape => shape.Aggregate(1L, (product, size) => product * size) * (shape.Count > 1 ? 1 : 4)
                + (shape.Count > 1 ? 4 * shape[0] : 0)),
            Weights(rounded, "unet"));
        Assert.Equal(Weights(exact, "vae"), Weights(rounded, "vae"));
        Assert.Equal(rounded.PlanMemory(request).Weights, exact.PlanMemory(request, Rounded).Weights);
        Assert.Equal(
            rounded.PlanMemory(request).PeakBytes,
            exact.PlanMemory(request).Advice.Single(a => a.Change == "PipelineOptions.Quantization = Int8").PeakBytes);
    }

    [Fact]
    public void A_LoRA_is_merged_into_rounded_weights_and_taken_out_again()
    {
        using var pipeline = StableDiffusionXLPipeline.Load(Folder("sdxl"), Rounded);
        var request = new GenerationRequest { Prompts = ["a red fox"], Height = 64, Width = 64, Steps = 2, Seed = 3, LatentsOnly = true };
        using var before = pipeline.Generate(request);
        using (new SmallLora(pipeline, 0.5f))
        {
            using var with = pipeline.Generate(request);
            Assert.False(with.Latents.SameBitsAs(before.Latents));
        }

        using var after = pipeline.Generate(request);
        TensorAssert.Close(before.Latents, after.Latents, 1e-5);
    }

    [Fact]
    public void Loading_leaves_no_tensor() => LiveTensors.AssertNoneLeft(() => DiffusionPipeline.Load(Folder("flux"), Rounded).Dispose());

    private static void Rewrite(string file)
    {
        using var scope = NewDisposeScope();
        Dictionary<string, Tensor> tensors;
        using (var source = SafetensorsFile.Open(file))
        {
            tensors = source.Tensors.ToDictionary(entry => entry.Key, entry =>
                IsRounded(entry.Key, entry.Value) ? Round(source.Read(entry.Key)) : source.Read(entry.Key).clone());
        }

        SafetensorsWriter.Write(file, tensors);
    }

    /// <summary>Tables of tokens and of positions are no layers.</summary>
    private static bool IsRounded(string name, TensorInfo info) => info.Shape.Count > 1
        && !name.Contains("embedding.weight", StringComparison.Ordinal) && !name.Contains("shared.", StringComparison.Ordinal)
        && !name.Contains("embed_tokens", StringComparison.Ordinal) && !name.Contains("relative_attention_bias", StringComparison.Ordinal);

    private static Tensor Round(Tensor weight)
    {
        var rows = weight.to(float32).flatten(1);
        var scale = rows.abs().amax([1], keepdim: true) / 127;
        return ((rows / scale).round() * scale).view(weight.shape);
    }
}
