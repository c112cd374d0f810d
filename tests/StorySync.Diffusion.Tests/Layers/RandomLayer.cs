using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Layers;

/// <summary>Layers with random weights.</summary>
internal static class RandomLayer
{
    public static T Bind<T>(T layer)
        where T : nn.Module
    {
        foreach (var parameter in ModuleTensors.ParametersOf(layer))
        {
            parameter.Replace(randn(parameter.Tensor.shape).DetachFromDisposeScope());
        }

        return layer;
    }
}
