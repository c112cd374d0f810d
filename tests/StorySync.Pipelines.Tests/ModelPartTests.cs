using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

public class ModelPartTests
{
    /// <summary>A plan is made while other runs pack and move weights: it must not read them.</summary>
    [Fact]
    public void Weights_are_counted_when_the_part_is_made()
    {
        var module = nn.Sequential(("embedder", nn.Linear(3, 5)), ("transformer_blocks", nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 2))));
        var part = new ModelPart("transformer", module, GenerationStage.Denoising);

        module.Dispose();

        const int Embedder = (3 * 5) + 5, First = (5 * 7) + 7, Second = (7 * 2) + 2;
        Assert.Equal(4 * (Embedder + First + Second), part.Bytes(ScalarType.Float32));
        Assert.Equal(2 * (Embedder + First), part.StreamedBytes(ScalarType.BFloat16));
    }
}
