using StorySync.Diffusion.Layers;
using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>Three convolutions and a shortcut (diffusers' <c>AutoencoderTinyBlock</c>). The activations between them keep their
/// places in the numbering: the convolutions are <c>conv.0</c>, <c>conv.2</c> and <c>conv.4</c>.</summary>
internal sealed class AutoencoderTinyBlock : nn.Module<Tensor, Tensor>
{
    private readonly ModuleDict<Conv2d> conv;
    private readonly Func<Tensor, Tensor> activate;

    public AutoencoderTinyBlock(long channels, string activation)
        : base(nameof(AutoencoderTinyBlock))
    {
        conv = new() { { "0", Convolution(channels) }, { "2", Convolution(channels) }, { "4", Convolution(channels) } };
        activate = Activation.ConsumingByName(activation);
        RegisterComponents();
    }

    /// <param name="input">(batch, channels, height, width).</param>
    public override Tensor forward(Tensor input)
    {
        using var scope = NewDisposeScope();
        var hidden = activate(conv["0"].call(input));
        hidden = activate(hidden.Into(conv["2"])).Into(conv["4"]);
        return hidden.Plus_(input).relu_().MoveToOuterDisposeScope();
    }

    private static Conv2d Convolution(long channels) => new(channels, channels, kernel: 3, padding: 1);
}
