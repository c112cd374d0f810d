using StorySync.Diffusion.Layers;
using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>From latents to an image, with plain convolutions (diffusers' <c>DecoderTiny</c>).</summary>
internal sealed class DecoderTiny : ScopedModule<Tensor, Tensor>
{
    private readonly ModuleList<nn.Module<Tensor, Tensor>> layers = [];

    public DecoderTiny(AutoencoderTinyConfig config)
        : base(nameof(DecoderTiny))
    {
        layers.Add(new Conv2d(config.LatentChannels, config.DecoderBlockOutChannels[0], kernel: 3, padding: 1));
        layers.Add(new ActivationLayer(config.ActFn));
        for (var i = 0; i < config.NumDecoderBlocks.Count; i++)
        {
            var last = i == config.NumDecoderBlocks.Count - 1;
            var channels = config.DecoderBlockOutChannels[i];
            for (var j = 0; j < config.NumDecoderBlocks[i]; j++)
            {
                layers.Add(new AutoencoderTinyBlock(channels, config.ActFn));
            }

            if (!last)
            {
                layers.Add(new Enlargement(config.UpsamplingScalingFactor));
            }

            layers.Add(new Conv2d(channels, last ? config.OutChannels : channels, kernel: 3, padding: 1, bias: last));
        }

        RegisterComponents();
    }

    public ScalarType Dtype => ((Conv2d)layers[0]).Dtype;

    /// <param name="latents">(batch, latent channels, height, width).</param>
    protected override Tensor Compute(Tensor latents)
    {
        var hidden = latents.Over(3).tanh_().Times_(3).ChannelsLast();
        foreach (var layer in layers)
        {
            hidden = layer.call(hidden).Freeing(hidden);
        }

        return hidden.Times_(2).Minus_(1);
    }

    private sealed class ActivationLayer(string name) : nn.Module<Tensor, Tensor>(nameof(ActivationLayer))
    {
        private readonly Func<Tensor, Tensor> activation = Activation.ByName(name);

        public override Tensor forward(Tensor input) => activation(input);
    }

    private sealed class Enlargement(long factor) : nn.Module<Tensor, Tensor>(nameof(Enlargement))
    {
        public override Tensor forward(Tensor input) =>
            nn.functional.interpolate(input, size: [input.shape[2] * factor, input.shape[3] * factor], mode: InterpolationMode.Nearest);
    }
}
