using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Steps that free their input as soon as they have used it, not at the end of the scope: the tensors between two
/// convolutions are the largest that a picture takes.</summary>
internal static class Consuming
{
    /// <summary>The layer's output; the input is disposed.</summary>
    public static Tensor Into(this Tensor input, nn.Module<Tensor, Tensor> layer)
    {
        using (input)
        {
            return layer.call(input);
        }
    }

    /// <summary>The layer's output, given something more; the input is disposed, that is not.</summary>
    public static Tensor Into<T>(this Tensor input, nn.Module<Tensor, T, Tensor> layer, T argument)
    {
        using (input)
        {
            return layer.call(input, argument);
        }
    }
}
