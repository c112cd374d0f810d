using StorySync.Diffusion.Weights;

namespace StorySync.Pipelines.Tests;

/// <summary>Files of weights that change while a model uses them.</summary>
public class ChangedFileTests
{
    private const string Weights = "unet/diffusion_pytorch_model.safetensors";

    private static readonly GenerationRequest Request = new() { Prompts = ["a red fox"], Height = 64, Width = 64, Steps = 2, Seed = 1 };

    public static MatrixTheoryData<string, string> Changes() =>
        new(["shortened", "overwritten", "emptied", "lengthened"], ["before the first run", "before the second run"]);

    [Theory]
    [MemberData(nameof(Changes))]
    public void A_run_on_a_file_that_was_written_to_is_refused(string change, string moment)
    {
        using var copy = new ModelCopy("tiny-sdxl", copiesWeights: true);
        using var pipeline = DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu" });
        if (moment == "before the second run")
        {
            pipeline.Generate(Request).Dispose();
        }

        Change(copy.PathOf(Weights), change);
        var error = Assert.Throws<ModelFileException>(() => pipeline.Generate(Request));
        Assert.StartsWith(copy.PathOf(Weights), error.Message, StringComparison.Ordinal);
        Assert.Contains("was changed while its weights were in use", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Weights, "shortened", 0)]
    [InlineData(Weights, "overwritten", 0)]
    [InlineData(Weights, "overwritten", 1)]
    [InlineData("vae/diffusion_pytorch_model.safetensors", "shortened", 1)]
    public void A_run_is_refused_from_the_step_on_after_which_a_file_is_written_to(string file, string change, int step)
    {
        using var copy = new ModelCopy("tiny-sdxl", copiesWeights: true);
        using var pipeline = DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu" });
        var steps = new List<int>();
        var request = Request with
        {
            OnStep = made =>
            {
                steps.Add(made.Index);
                if (made.Index == step)
                {
                    Change(copy.PathOf(file), change);
                }
            },
        };
        var error = Assert.Throws<ModelFileException>(() => pipeline.Generate(request));
        Assert.StartsWith(copy.PathOf(file), error.Message, StringComparison.Ordinal);
        Assert.Equal(Enumerable.Range(0, step + 1), steps);
    }

    [Fact]
    public void A_run_during_whose_last_step_a_file_was_written_to_is_refused()
    {
        using var copy = new ModelCopy("tiny-sdxl", copiesWeights: true);
        using var pipeline = DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu" });
        var request = Request with
        {
            LatentsOnly = true,
            OnStep = step => Change(copy.PathOf(Weights), step.Index + 1 == step.Count ? "overwritten" : "none"),
        };
        var error = Assert.Throws<ModelFileException>(() => pipeline.Generate(request));
        Assert.StartsWith(copy.PathOf(Weights), error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_takes_the_place_of_another_does_no_harm()
    {
        using var copy = new ModelCopy("tiny-sdxl", copiesWeights: true);
        using var pipeline = DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu" });
        var expected = Picture(pipeline);
        var path = copy.PathOf(Weights);
        File.WriteAllText(path + ".new", "something else");
        File.Move(path + ".new", path, overwrite: true);
        Assert.Equal(expected, Picture(pipeline));
        File.Delete(path);
        Assert.Equal(expected, Picture(pipeline));
    }

    [Theory]
    [InlineData("shortened")]
    [InlineData("overwritten")]
    public void Weights_that_are_read_into_memory_need_no_file(string change)
    {
        using var copy = new ModelCopy("tiny-sdxl", copiesWeights: true);
        using var mapped = DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu" });
        var expected = Picture(mapped);
        using var pipeline = DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu", MapWeights = false });
        Change(copy.PathOf(Weights), change);
        Assert.Equal(expected, Picture(pipeline));
    }

    [Fact]
    public void A_LoRA_that_changes_is_refused_when_it_is_read_again()
    {
        using var copy = new ModelCopy("tiny-sdxl");
        using var pipeline = StableDiffusionXLPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu" });
        var lora = WriteLora(copy, pipeline.UNet.Config.BlockOutChannels[1]);
        pipeline.Loras.Load(lora, "lora");
        Change(lora, "shortened");
        var error = Assert.Throws<ModelFileException>(() => pipeline.Loras.SetScale("lora", 0.5));
        Assert.StartsWith(lora, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_LoRA_is_not_merged_into_weights_whose_file_was_written_to()
    {
        using var copy = new ModelCopy("tiny-sdxl", copiesWeights: true);
        using var pipeline = StableDiffusionXLPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu" });
        var lora = WriteLora(copy, pipeline.UNet.Config.BlockOutChannels[1]);
        Change(copy.PathOf(Weights), "emptied");
        var error = Assert.Throws<ModelFileException>(() => pipeline.Loras.Load(lora));
        Assert.StartsWith(copy.PathOf(Weights), error.Message, StringComparison.Ordinal);
        Assert.Empty(pipeline.Loras.Scales);
    }

    private static string WriteLora(ModelCopy copy, int width)
    {
        var lora = copy.PathOf("lora.safetensors");
        using (var down = TorchSharp.torch.ones(2, width))
        using (var up = TorchSharp.torch.ones(width, 2))
        {
            const string layer = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q";
            SafetensorsWriter.Write(lora, new Dictionary<string,
                TorchSharp.torch.Tensor> { [layer + ".lora_A.weight"] = down, [layer + ".lora_B.weight"] = up });
        }

        return lora;
    }

    private static void Change(string path, string change)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        switch (change)
        {
            case "shortened":
                stream.SetLength(stream.Length / 2);
                break;
            case "emptied":
                stream.SetLength(0);
                break;
            case "lengthened":
                stream.SetLength(stream.Length + 1);
                break;
            case "none":
                break;
            default:
                stream.Write(new byte[stream.Length]);
                break;
        }

        stream.Flush(flushToDisk: true);
    }

    private static byte[] Picture(DiffusionPipeline pipeline)
    {
        using var result = pipeline.Generate(Request);
        return result.Images[0].Pixels.ToArray();
    }
}
