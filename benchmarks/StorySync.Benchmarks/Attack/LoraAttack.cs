using StorySync.Diffusion.Weights;
using StorySync.Pipelines;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Benchmarks.Attack;

/// <summary>Damaged LoRA files: each is refused, or the model draws with it; and afterwards it draws what it drew before.</summary>
internal sealed class LoraAttack : IAttack
{
    private const int Layers = 3;
    private const int Rank = 2;
    private readonly TemporaryFolder folder = new();
    private readonly DiffusionPipeline[] pipelines;
    private readonly byte[][] images;
    private readonly List<byte[]>[] sources;

    public LoraAttack(string models)
    {
        pipelines = TinyModels.LoadAll(models);
        images = [.. pipelines.Select(pipeline => TinyModels.Draw(pipeline))];
        sources = [.. pipelines.Select(Write)];
    }

    public string Input { get; private set; } = "";

    private string Case => Path.Combine(folder.Path, "case.safetensors");

    public string Try(int index, Random random)
    {
        var model = index % pipelines.Length;
        var (pipeline, source) = (pipelines[model], random.Next(sources[model].Count));
        var bytes = Mutation.Safetensors(sources[model][source], random);
        Input = $"{TinyModels.Names[model]}, {Convert.ToBase64String(bytes)}";
        File.WriteAllBytes(Case, bytes);
        var ending = Ending.Of(
            () =>
            {
                var name = pipeline.Loras.Load(Case);
                try
                {
                    return Ending.Of(
                        () =>
                        {
                            TinyModels.Draw(pipeline);
                            return "drawn";
                        },
                        Ending.IsOfRun);
                }
                finally
                {
                    pipeline.Loras.Remove(name);
                }
            },
            exception => Ending.IsOfFile(exception, Case));
        Ending.Require(pipeline.Loras.Scales.Count == 0, "A LoRA is left.");
        Ending.Require(TinyModels.Draw(pipeline).AsSpan().SequenceEqual(images[model]), "The model draws another image than before.");
        return ending;
    }

    public void Dispose()
    {
        Array.ForEach(pipelines, pipeline => pipeline.Dispose());
        folder.Dispose();
    }

    /// <summary>LoRAs for a model: in PEFT's names with metadata, and in older ones with alphas.</summary>
    private List<byte[]> Write(DiffusionPipeline pipeline)
    {
        var (prefix, denoiser) = pipeline switch
        {
            StableDiffusionXLPipeline sdxl => ("unet", (nn.Module)sdxl.UNet),
            Kandinsky3Pipeline kandinsky => ("unet", kandinsky.UNet),
            _ => ("transformer", ((FluxPipeline)pipeline).Transformer),
        };
        using var scope = NewDisposeScope();
        using var mode = no_grad();
        var (peft, older) = (new Dictionary<string, Tensor>(), new Dictionary<string, Tensor>());
        var layers = denoiser.named_parameters().Where(entry =>
            entry.name.EndsWith("to_q.weight", StringComparison.Ordinal) && entry.parameter.dim() == 2);
        foreach (var (name, weight) in layers.Take(Layers))
        {
            var layer = name[..^".weight".Length];
            var (down, up) = (randn(Rank, weight.shape[1]), randn(weight.shape[0], Rank));
            peft[$"{prefix}.{layer}.lora_A.weight"] = down;
            peft[$"{prefix}.{layer}.lora_B.weight"] = up;
            var (other, dot) = pipeline is FluxPipeline ? ($"{prefix}.{layer}", '.') : ($"lora_{prefix}_{layer.Replace('.', '_')}", '_');
            older[$"{other}.lora{dot}down.weight"] = down;
            older[$"{other}.lora{dot}up.weight"] = up;
            older[$"{other}.alpha"] = tensor((float)Rank);
        }

        return [Bytes(peft, """{"r": 2, "lora_alpha": 4}"""), Bytes(older, null)];

        byte[] Bytes(Dictionary<string, Tensor> tensors, string? metadata)
        {
            SafetensorsWriter.Write(Case, tensors,
                metadata is null ? null : new Dictionary<string, string> { ["lora_adapter_metadata"] = metadata });
            pipeline.Loras.Remove(pipeline.Loras.Load(Case));
            return File.ReadAllBytes(Case);
        }
    }
}
