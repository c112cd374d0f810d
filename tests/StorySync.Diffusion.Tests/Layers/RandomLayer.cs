using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Layers;

/// <summary>Layers with random weights, the same ones in every run.</summary>
internal static class RandomLayer
{
    public static T Bind<T>(T layer)
        where T : nn.Module
    {
        using var random = new Generator(1);
        foreach (var parameter in ModuleTensors.ParametersOf(layer))
        {
            parameter.Replace(randn(parameter.Tensor.shape, generator: random).DetachFromDisposeScope());
        }

        return layer;
    }
}
