using StorySync.Diffusion.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Kandinsky3;

/// <summary>What a resnet does to height and width.</summary>
internal enum Resampling
{
    None,
    Down,
    Up,
}

/// <summary>Four norm-SiLU-convolution stages beside a shortcut, narrow between the first and the last (diffusers'
/// <c>Kandinsky3ResNetBlock</c>).</summary>
internal sealed class Kandinsky3ResNetBlock : nn.Module<Tensor, Tensor, Tensor>
{
    private readonly ModuleList<Kandinsky3Block> resnet_blocks;
    private readonly ConvTranspose2d? shortcut_up_sample;
    private readonly Conv2d? shortcut_projection;
    private readonly Conv2d? shortcut_down_sample;

    public Kandinsky3ResNetBlock(long inChannels, long outChannels, Kandinsky3Settings settings, Resampling resampling = Resampling.None)
        : base(nameof(Kandinsky3ResNetBlock))
    {
        var hidden = Math.Max(inChannels, outChannels) / 2;
        var (up, down) = (resampling == Resampling.Up, resampling == Resampling.Down);
        resnet_blocks = new(
            new Kandinsky3Block(inChannels, hidden, kernel: 1, settings),
            new Kandinsky3Block(hidden, hidden, kernel: 3, settings, upSample: up),
            new Kandinsky3Block(hidden, hidden, kernel: 3, settings, downSample: down),
            new Kandinsky3Block(hidden, outChannels, kernel: 1, settings));
        shortcut_up_sample = up ? new ConvTranspose2d(inChannels, inChannels, kernel: 2) : null;
        shortcut_projection = inChannels == outChannels ? null : new Conv2d(inChannels, outChannels, kernel: 1);
        shortcut_down_sample = down ? new Conv2d(outChannels, outChannels, kernel: 2, stride: 2) : null;
        RegisterComponents();
    }

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="timeEmbedding">(batch, width).</param>
    public override Tensor forward(Tensor input, Tensor timeEmbedding)
    {
        using var scope = NewDisposeScope();
        var hidden = resnet_blocks[0].call(input, timeEmbedding);
        foreach (var block in resnet_blocks.Skip(1))
        {
            hidden = hidden.Into(block, timeEmbedding);
        }

        var shortcut = shortcut_up_sample?.call(input) ?? input;
        shortcut = shortcut_projection?.call(shortcut) ?? shortcut;
        shortcut = shortcut_down_sample?.call(shortcut) ?? shortcut;
        return hidden.add_(shortcut).MoveToOuterDisposeScope();
    }
}

/// <summary>A stage of a resnet: norm, SiLU, upsampling or none, convolution, downsampling or none (diffusers'
/// <c>Kandinsky3Block</c>).</summary>
internal sealed class Kandinsky3Block : nn.Module<Tensor, Tensor, Tensor>
{
    private readonly Kandinsky3ConditionalGroupNorm group_norm;
    private readonly ConvTranspose2d? up_sample;
    private readonly Conv2d projection;
    private readonly Conv2d? down_sample;

    public Kandinsky3Block(
        long inChannels, long outChannels, long kernel, Kandinsky3Settings settings, bool upSample = false, bool downSample = false)
        : base(nameof(Kandinsky3Block))
    {
        group_norm = new Kandinsky3ConditionalGroupNorm(inChannels, settings);
        up_sample = upSample ? new ConvTranspose2d(inChannels, inChannels, kernel: 2) : null;
        projection = new Conv2d(inChannels, outChannels, kernel, padding: kernel / 2);
        down_sample = downSample ? new Conv2d(outChannels, outChannels, kernel: 2, stride: 2) : null;
        RegisterComponents();
    }

    public override Tensor forward(Tensor input, Tensor timeEmbedding)
    {
        using var scope = NewDisposeScope();
        var hidden = group_norm.Silu(input, timeEmbedding);
        hidden = up_sample is null ? hidden : hidden.Into(up_sample);
        hidden = hidden.Into(projection);
        hidden = down_sample is null ? hidden : hidden.Into(down_sample);
        return hidden.MoveToOuterDisposeScope();
    }
}
