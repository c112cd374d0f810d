using StorySync.Kernels;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Provides layers together with what follows them: one pass over the data in float32 on the CPU, the same operators one after
/// the other elsewhere.</summary>
internal static class Fused
{
    /// <summary>Computes an activation of a group norm of a sum.</summary>
    /// <param name="norm">The norm.</param>
    /// <param name="x">(batch, channels, height, width).</param>
    /// <param name="activation">The activation; <see cref="Activation.Silu"/> is the one that is fused.</param>
    /// <param name="shift">Added to <paramref name="x"/>, (batch, channels); null for nothing.</param>
    public static Tensor GroupNorm(GroupNorm norm, Tensor x, Func<Tensor, Tensor> activation, Tensor? shift = null) =>
        activation == Activation.Silu
            ? GroupNormSilu(norm, x, shift)
            : Scoped(() => activation(norm.call(shift is null ? x : x.Plus(shift.unsqueeze(-1).unsqueeze(-1)))));

    /// <summary>Computes SiLU of a group norm of a sum.</summary>
    /// <param name="norm">The norm.</param>
    /// <param name="x">(batch, channels, height, width).</param>
    /// <param name="shift">Added to <paramref name="x"/>, (batch, channels); null for nothing.</param>
    public static Tensor GroupNormSilu(GroupNorm norm, Tensor x, Tensor? shift = null) =>
        GroupNormalization.RunSilu(x, norm.Groups, norm.Epsilon, norm.weight, norm.bias, shift);

    /// <summary>Computes a group norm with a scale and a shift for each image in place of its own, which it must not have.</summary>
    /// <param name="norm">The norm.</param>
    /// <param name="x">(batch, channels, height, width).</param>
    /// <param name="scale">(batch, channels).</param>
    /// <param name="shift">(batch, channels).</param>
    /// <param name="silu">Whether SiLU follows.</param>
    public static Tensor GroupNormModulate(GroupNorm norm, Tensor x, Tensor scale, Tensor shift, bool silu = false) =>
        GroupNormalization.RunModulated(x, norm.Groups, norm.Epsilon, scale, shift, silu);

    /// <summary>Computes the tanh approximation of GELU of a linear layer.</summary>
    /// <param name="linear">The layer.</param>
    /// <param name="x">(…, in).</param>
    public static Tensor LinearGeluTanh(Linear linear, Tensor x) =>
        LinearProduct.Run(x, linear.Storage, linear.bias, LinearEpilogue.GeluTanh);

    /// <summary>Computes the first half of a linear layer's outputs, multiplied with the exact GELU of the second.</summary>
    /// <param name="linear">The layer.</param>
    /// <param name="x">(…, in).</param>
    public static Tensor LinearGeglu(Linear linear, Tensor x) =>
        LinearProduct.Run(x, linear.Storage, linear.bias, LinearEpilogue.Geglu);

    /// <summary>Computes a 3×3 convolution of an image enlarged to the nearest pixels.</summary>
    /// <param name="conv">The convolution, with a padding of 1.</param>
    /// <param name="x">(batch, channels, height, width).</param>
    /// <param name="size">Height and width of the result; null doubles both.</param>
    public static Tensor UpsampleConv2d(Conv2d conv, Tensor x, long[]? size = null) =>
        Convolution.RunUpsampled(x, size, conv.Storage, conv.bias, conv.Geometry);
}
