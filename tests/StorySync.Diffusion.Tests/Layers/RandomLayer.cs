using StorySync.Diffusion.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Layers;

/// <summary>Layers with random weights.</summary>
internal static class RandomLayer
{
    public static T Bind<T>(T layer)
        where T : nn.Module
    {
        foreach (var (_, parameter) in layer.named_parameters())
        {
            Parameters.Replace(parameter, randn(parameter.shape).DetachFromDisposeScope());
        }

        return layer;
    }
}
