using StorySync.Diffusion.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Sdxl;

/// <summary>The half of a UNet that goes down: resnets, with or without transformers between them, then a downsampler; every result
/// is kept for the way up (diffusers' <c>DownBlock2D</c> and <c>CrossAttnDownBlock2D</c>).</summary>
internal sealed class DownBlock2D : nn.Module<Tensor, BlockInputs, Stack<Tensor>, Tensor>
{
    private readonly ModuleList<ResnetBlock2D> resnets;
    private readonly ModuleList<Transformer2DModel>? attentions;
    private readonly ModuleList<Downsample2D>? downsamplers;

    /// <param name="inChannels">Channels of the input.</param>
    /// <param name="outChannels">Channels of the output.</param>
    /// <param name="resnet">Settings of the resnets.</param>
    /// <param name="layers">For each resnet the transformer behind it, or null for none.</param>
    /// <param name="downsamplePadding">Padding of the downsampler; null for no downsampler.</param>
    public DownBlock2D(long inChannels, long outChannels, ResnetSettings resnet, IReadOnlyList<Transformer2DModel?> layers, long? downsamplePadding)
        : base(nameof(DownBlock2D))
    {
        resnets = new([.. layers.Select((_, i) => new ResnetBlock2D(i == 0 ? inChannels : outChannels, outChannels, resnet))]);
        attentions = UNetBlocks.List(layers);
        downsamplers = downsamplePadding is { } padding ? new(new Downsample2D(outChannels, padding)) : null;
        RegisterComponents();
    }

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="inputs">Time, text and run.</param>
    /// <param name="skips">Receives the result of every layer.</param>
    public override Tensor forward(Tensor input, BlockInputs inputs, Stack<Tensor> skips)
    {
        var hidden = input;
        for (var i = 0; i < resnets.Count; i++)
        {
            hidden = UNetBlocks.Layer(resnets[i], attentions?[i], hidden, inputs);
            skips.Push(hidden);
        }

        if (downsamplers is not null)
        {
            hidden = downsamplers[0].call(hidden);
            skips.Push(hidden);
        }

        return hidden;
    }
}

/// <summary>The middle of a UNet (diffusers' <c>UNetMidBlock2DCrossAttn</c>; without transformers <c>UNetMidBlock2D</c> with
/// <c>add_attention=False</c>).</summary>
internal sealed class MidBlock2D : nn.Module<Tensor, BlockInputs, Tensor>
{
    private readonly ModuleList<ResnetBlock2D> resnets;
    private readonly ModuleList<Transformer2DModel> attentions;

    public MidBlock2D(long channels, ResnetSettings resnet, Transformer2DModel attention)
        : base(nameof(MidBlock2D))
    {
        resnets = new(new ResnetBlock2D(channels, channels, resnet), new ResnetBlock2D(channels, channels, resnet));
        attentions = new(attention);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input, BlockInputs inputs)
    {
        using var attended = UNetBlocks.Layer(resnets[0], attentions[0], input, inputs);
        return resnets[1].call(attended, inputs.TimeEmbedding);
    }
}

/// <summary>The half of a UNet that goes up: every resnet takes the result of its counterpart on the way down beside its own input
/// (diffusers' <c>UpBlock2D</c> and <c>CrossAttnUpBlock2D</c>).</summary>
internal sealed class UpBlock2D : nn.Module<Tensor, BlockInputs, Stack<Tensor>, Tensor>
{
    private readonly ModuleList<ResnetBlock2D> resnets;
    private readonly ModuleList<Transformer2DModel>? attentions;
    private readonly ModuleList<Upsample2D>? upsamplers;

    /// <param name="inChannels">Channels of the input.</param>
    /// <param name="skipChannels">Channels of the last skip; the others have <paramref name="outChannels"/>.</param>
    /// <param name="outChannels">Channels of the output.</param>
    /// <param name="resnet">Settings of the resnets.</param>
    /// <param name="layers">For each resnet the transformer behind it, or null for none.</param>
    /// <param name="upsample">Whether an upsampler follows.</param>
    public UpBlock2D(long inChannels, long skipChannels, long outChannels, ResnetSettings resnet, IReadOnlyList<Transformer2DModel?> layers, bool upsample)
        : base(nameof(UpBlock2D))
    {
        resnets = new([.. layers.Select((_, i) =>
        {
            var skip = i == layers.Count - 1 ? skipChannels : outChannels;
            return new ResnetBlock2D((i == 0 ? inChannels : outChannels) + skip, outChannels, resnet);
        })]);
        attentions = UNetBlocks.List(layers);
        upsamplers = upsample ? new(new Upsample2D(outChannels)) : null;
        RegisterComponents();
    }

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="inputs">Time, text and run.</param>
    /// <param name="skips">Results of the way down; as many are taken as there are resnets.</param>
    public override Tensor forward(Tensor input, BlockInputs inputs, Stack<Tensor> skips)
    {
        var hidden = input;
        for (var i = 0; i < resnets.Count; i++)
        {
            using var skip = skips.Pop();
            using var joined = cat([hidden, skip], dim: 1);
            hidden.Dispose();
            hidden = UNetBlocks.Layer(resnets[i], attentions?[i], joined, inputs);
        }

        if (upsamplers is null)
        {
            return hidden;
        }

        // The size of the next skip: twice this one's, or one less where a level's size was odd.
        using var small = hidden;
        return upsamplers[0].call(small, skips.Peek().shape[2..]);
    }
}

internal static class UNetBlocks
{
    public static Tensor Layer(ResnetBlock2D resnet, Transformer2DModel? attention, Tensor input, BlockInputs inputs)
    {
        inputs.Context.CancellationToken.ThrowIfCancellationRequested();
        var hidden = resnet.call(input, inputs.TimeEmbedding);
        if (attention is null)
        {
            return hidden;
        }

        using (hidden)
        {
            return attention.call(hidden, inputs);
        }
    }

    public static ModuleList<Transformer2DModel>? List(IReadOnlyList<Transformer2DModel?> layers) =>
        layers.Any(l => l is null) ? null : new([.. layers.Select(l => l!)]);
}
