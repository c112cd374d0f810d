using StorySync.Diffusion.Layers;
using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>From an image to latents, with plain convolutions (diffusers' <c>EncoderTiny</c>).</summary>
internal sealed class EncoderTiny : ScopedModule<Tensor, Tensor>
{
    private readonly ModuleList<nn.Module<Tensor, Tensor>> layers = [];

    public EncoderTiny(AutoencoderTinyConfig config)
        : base(nameof(EncoderTiny))
    {
        for (var i = 0; i < config.NumEncoderBlocks.Count; i++)
        {
            var channels = config.EncoderBlockOutChannels[i];
            layers.Add(i == 0
                ? new Conv2d(config.InChannels, channels, kernel: 3, padding: 1)
                : new Conv2d(channels, channels, kernel: 3, stride: 2, padding: 1, bias: false));
            for (var j = 0; j < config.NumEncoderBlocks[i]; j++)
            {
                layers.Add(new AutoencoderTinyBlock(channels, config.ActFn));
            }
        }

        layers.Add(new Conv2d(config.EncoderBlockOutChannels[^1], config.LatentChannels, kernel: 3, padding: 1));
        RegisterComponents();
    }

    public ScalarType Dtype => ((Conv2d)layers[0]).Dtype;

    /// <param name="image">(batch, channels, height, width) in [-1, 1].</param>
    protected override Tensor Compute(Tensor image)
    {
        var hidden = image.Plus(1).Over_(2).ChannelsLast();
        foreach (var layer in layers)
        {
            hidden = layer.call(hidden).Freeing(hidden);
        }

        return hidden;
    }
}
