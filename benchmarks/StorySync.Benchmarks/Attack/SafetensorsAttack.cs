using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Benchmarks.Attack;

/// <summary>Damaged safetensors files: each is refused, or every tensor in it can be read.</summary>
internal sealed class SafetensorsAttack : IAttack
{
    private readonly TemporaryFolder folder = new();
    private readonly List<byte[]> sources = [];

    public SafetensorsAttack()
    {
        using var scope = NewDisposeScope();
        Add(new() { ["only"] = ones(3) });
        Add(new() { ["scalar"] = tensor(1f), ["nothing"] = empty(0, 4), ["flag"] = tensor(true) });
        Add(new() { ["half"] = ones(3, float16), ["brain"] = ones(5, bfloat16), ["byte"] = ones(7, uint8), ["long"] = ones(2, int64) });
        Add(new() { ["a.weight"] = randn(4, 6), ["a.bias"] = randn(4), ["b.weight"] = randn(2, 3, 3, 3) },
            new() { ["format"] = "pt", ["lora_adapter_metadata"] = "{\"r\": 4}" });
    }

    public string Input { get; private set; } = "";

    private string Case => Path.Combine(folder.Path, "case.safetensors");

    public string Try(int index, Random random)
    {
        var source = random.Next(sources.Count);
        var bytes = Mutation.Safetensors(sources[source], random);
        Input = $"{Convert.ToBase64String(bytes)}";
        File.WriteAllBytes(Case, bytes);
        return Ending.Of(
            () =>
            {
                using var scope = NewDisposeScope();
                using var file = SafetensorsFile.Open(Case);
                foreach (var info in file.Tensors.Values)
                {
                    using var copy = file.Read(info.Name).clone();
                    Ending.Require(copy.shape.SequenceEqual(info.Shape), $"{info.Name} has another shape than the header says.");
                }

                return "read";
            },
            exception => Ending.IsOfFile(exception, Case));
    }

    public void Dispose() => folder.Dispose();

    private void Add(Dictionary<string, Tensor> tensors, Dictionary<string, string>? metadata = null)
    {
        SafetensorsWriter.Write(Case, tensors, metadata);
        sources.Add(File.ReadAllBytes(Case));
    }
}
