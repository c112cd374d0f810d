using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Schedulers;

/// <summary>Gives the rows of a recording, one after the other.</summary>
internal sealed class NoiseTape(Tensor? noises)
{
    public int Drawn { get; private set; }

    public int Length => (int)(noises?.shape[0] ?? 0);

    public Tensor Draw(Tensor like)
    {
        Assert.True(Drawn < Length, $"Noise number {Drawn + 1} is drawn, of {Length} that diffusers draws.");
        var noise = noises![Drawn++];
        Assert.Equal(noise.shape, like.shape);
        return noise;
    }
}
