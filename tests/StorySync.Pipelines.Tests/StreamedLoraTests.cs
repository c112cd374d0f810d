using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>A LoRA on blocks that are streamed from bfloat16 is as exact as on blocks that are not.</summary>
public class StreamedLoraTests
{
    [Fact]
    public void A_LoRA_is_merged_in_the_type_that_the_model_computes_in()
    {
        using var copy = new ModelCopy("tiny-flux", copiesWeights: true);
        StoreHalves(copy.PathOf("transformer/diffusion_pytorch_model.safetensors"));
        var lora = WriteLora(copy);

        using var plain = Run(copy, lora, streams: false);
        using var streamed = Run(copy, lora, streams: true);
        using var without = Run(copy, null, streams: true);
        using var difference = (plain - streamed).abs().max();
        using var effect = (plain - without).abs().max();

        // Rounded to bfloat16 the merged weights move the latents by 8e-3.
        Assert.InRange(difference.item<float>(), 0, 1e-4f);
        Assert.True(effect.item<float>() > 1e-2f);
    }

    private static Tensor Run(ModelCopy copy, string? lora, bool streams)
    {
        using var pipeline = FluxPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu", StreamBlocks = streams });
        if (lora is not null)
        {
            pipeline.Loras.Load(lora);
        }

        using var result = pipeline.Generate(new FluxRequest
        {
            Prompts = ["a red fox"], Height = 64, Width = 64, Steps = 2, Seed = 1, MaxSequenceLength = 32, LatentsOnly = true,
        });
        return result.Latents.clone();
    }

    private static void StoreHalves(string path)
    {
        using var scope = NewDisposeScope();
        Dictionary<string, Tensor> tensors;
        using (var file = SafetensorsFile.Open(path))
        {
            tensors = file.Tensors.Keys.ToDictionary(name => name, name => file.Read(name).to(ScalarType.BFloat16));
        }

        SafetensorsWriter.Write(path, tensors);
    }

    private static string WriteLora(ModelCopy copy)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(4, CPU);
        var tensors = new Dictionary<string, Tensor>();
        using var file = SafetensorsFile.Open(copy.PathOf("transformer/diffusion_pytorch_model.safetensors"));
        foreach (var (name, info) in file.Tensors.Where(tensor => tensor.Key.Contains(".attn.to_", StringComparison.Ordinal)
            && tensor.Key.EndsWith(".weight", StringComparison.Ordinal)))
        {
            var layer = "transformer." + name[..^".weight".Length];
            tensors[layer + ".lora_A.weight"] = randn([4, info.Shape[1]], generator: generator) * 0.1f;
            tensors[layer + ".lora_B.weight"] = randn([info.Shape[0], 4], generator: generator) * 0.1f;
        }

        var path = copy.PathOf("lora.safetensors");
        SafetensorsWriter.Write(path, tensors);
        return path;
    }
}
