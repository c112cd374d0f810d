using StorySync.Diffusion.Layers;
using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>Three convolutions and a shortcut (diffusers' <c>AutoencoderTinyBlock</c>). The activations between them keep their
/// places in the numbering: the convolutions are <c>conv.0</c>, <c>conv.2</c> and <c>conv.4</c>.</summary>
internal sealed class AutoencoderTinyBlock : ScopedModule<Tensor, Tensor>
{
    private readonly ModuleDict<Conv2d> conv;
    private readonly Func<Tensor, Tensor> activate_;

    public AutoencoderTinyBlock(long channels, string activation)
        : base(nameof(AutoencoderTinyBlock))
    {
        conv = new() { { "0", Convolution(channels) }, { "2", Convolution(channels) }, { "4", Convolution(channels) } };
        activate_ = Activation.InPlaceByName(activation);
        RegisterComponents();
    }

    /// <param name="input">(batch, channels, height, width).</param>
    protected override Tensor Compute(Tensor input)
    {
        var hidden = activate_(conv["0"].call(input));
        hidden = activate_(conv["2"].call(hidden).Freeing(hidden));
        hidden = conv["4"].call(hidden).Freeing(hidden);
        return hidden.Plus_(input).relu_();
    }

    private static Conv2d Convolution(long channels) => new(channels, channels, kernel: 3, padding: 1);
}
