using StorySync.Diffusion.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Kandinsky3;

/// <summary>A level on the way down: self-attention, then resnets in pairs with cross-attention between the two of a pair (diffusers'
/// <c>Kandinsky3DownSampleBlock</c>).</summary>
internal sealed class Kandinsky3DownSampleBlock : nn.Module<Tensor, BlockInputs, Tensor>
{
    private readonly ModuleList<Kandinsky3AttentionBlock>? attentions;
    private readonly ModuleList<Kandinsky3ResNetBlock> resnets_in;
    private readonly ModuleList<Kandinsky3ResNetBlock> resnets_out;

    /// <param name="inChannels">Channels of the input.</param>
    /// <param name="outChannels">Channels of the output.</param>
    /// <param name="layers">Pairs of resnets.</param>
    /// <param name="settings">What the model's blocks have in common.</param>
    /// <param name="attends">Whether there is attention.</param>
    /// <param name="downSample">Whether the last resnet halves height and width.</param>
    public Kandinsky3DownSampleBlock(
        long inChannels, long outChannels, int layers, Kandinsky3Settings settings, bool attends, bool downSample)
        : base(nameof(Kandinsky3DownSampleBlock))
    {
        resnets_in = new([.. Enumerable.Range(0, layers).Select(i =>
            new Kandinsky3ResNetBlock(i == 0 ? inChannels : outChannels, outChannels, settings))]);
        resnets_out = new([.. Enumerable.Range(0, layers).Select(i => new Kandinsky3ResNetBlock(
            outChannels, outChannels, settings, downSample && i == layers - 1 ? Resampling.Down : Resampling.None))]);
        attentions = !attends ? null : new(
        [
            new Kandinsky3AttentionBlock(inChannels, settings, readsText: false),
            .. Enumerable.Range(0, layers).Select(_ => new Kandinsky3AttentionBlock(outChannels, settings, readsText: true)),
        ]);
        RegisterComponents();
    }

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="inputs">Time, text and run.</param>
    public override Tensor forward(Tensor input, BlockInputs inputs)
    {
        using var scope = NewDisposeScope();
        var hidden = attentions?[0].call(input, null, inputs) ?? input.alias();
        for (var i = 0; i < resnets_in.Count; i++)
        {
            hidden = Kandinsky3Blocks.Layer(resnets_in[i], attentions?[i + 1], resnets_out[i], hidden, inputs);
        }

        return hidden.MoveToOuterDisposeScope();
    }
}

/// <summary>A level on the way up: resnets in pairs with cross-attention between the two of a pair, then self-attention (diffusers'
/// <c>Kandinsky3UpSampleBlock</c>).</summary>
internal sealed class Kandinsky3UpSampleBlock : nn.Module<Tensor, BlockInputs, Tensor>
{
    private readonly ModuleList<Kandinsky3AttentionBlock>? attentions;
    private readonly ModuleList<Kandinsky3ResNetBlock> resnets_in;
    private readonly ModuleList<Kandinsky3ResNetBlock> resnets_out;

    /// <param name="inChannels">Channels of the input, without the skip connection's.</param>
    /// <param name="skipChannels">Channels of the skip connection.</param>
    /// <param name="outChannels">Channels of the output.</param>
    /// <param name="layers">Pairs of resnets.</param>
    /// <param name="settings">What the model's blocks have in common.</param>
    /// <param name="attends">Whether there is attention.</param>
    /// <param name="upSample">Whether the first resnet doubles height and width.</param>
    public Kandinsky3UpSampleBlock(
        long inChannels, long skipChannels, long outChannels, int layers, Kandinsky3Settings settings, bool attends, bool upSample)
        : base(nameof(Kandinsky3UpSampleBlock))
    {
        long[] widths = [inChannels + skipChannels, .. Enumerable.Repeat(inChannels, layers - 1), outChannels];
        resnets_in = new([.. Enumerable.Range(0, layers).Select(i => new Kandinsky3ResNetBlock(
            widths[i], widths[i], settings, upSample && i == 0 ? Resampling.Up : Resampling.None))]);
        resnets_out = new([.. Enumerable.Range(0, layers).Select(i => new Kandinsky3ResNetBlock(widths[i], widths[i + 1], settings))]);
        attentions = !attends ? null : new(
        [
            new Kandinsky3AttentionBlock(outChannels, settings, readsText: false),
            .. Enumerable.Range(0, layers).Select(i => new Kandinsky3AttentionBlock(widths[i], settings, readsText: true)),
        ]);
        RegisterComponents();
    }

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="inputs">Time, text and run.</param>
    public override Tensor forward(Tensor input, BlockInputs inputs)
    {
        using var scope = NewDisposeScope();
        var hidden = input.alias();
        for (var i = 0; i < resnets_in.Count; i++)
        {
            hidden = Kandinsky3Blocks.Layer(resnets_in[i], attentions?[i + 1], resnets_out[i], hidden, inputs);
        }

        return (attentions?[0].call(hidden, null, inputs) ?? hidden).MoveToOuterDisposeScope();
    }
}

internal static class Kandinsky3Blocks
{
    /// <summary>A pair of resnets with or without cross-attention between them; the input is disposed.</summary>
    public static Tensor Layer(
        Kandinsky3ResNetBlock resnetIn,
        Kandinsky3AttentionBlock? attention,
        Kandinsky3ResNetBlock resnetOut,
        Tensor input,
        BlockInputs inputs)
    {
        inputs.Context.CancellationToken.ThrowIfCancellationRequested();
        var hidden = input.Into(resnetIn, inputs.TimeEmbedding);
        if (attention is not null)
        {
            using var read = hidden;
            hidden = attention.call(read, inputs.Text, inputs);
        }

        return hidden.Into(resnetOut, inputs.TimeEmbedding);
    }
}
