using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Layers;
using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Sdxl;

/// <summary>A level of a UNet on the way down: resnets, with or without transformers between them, then a downsampler; every result
/// is kept for the way up (diffusers' <c>DownBlock2D</c> and <c>CrossAttnDownBlock2D</c>).</summary>
internal sealed class DownBlock2D : nn.Module<Tensor, BlockContext, Stack<Tensor>, Tensor>
{
    private readonly ModuleList<ResnetBlock2D> resnets;
    private readonly ModuleList<Transformer2DModel>? attentions;
    private readonly ModuleList<Downsample2D>? downsamplers;

    /// <param name="inChannels">Channels of the input.</param>
    /// <param name="outChannels">Channels of the output.</param>
    /// <param name="resnet">Settings of the resnets.</param>
    /// <param name="layers">For each resnet the transformer after it, or null for none.</param>
    /// <param name="downsamplePadding">Padding of the downsampler; null for no downsampler.</param>
    public DownBlock2D(long inChannels, long outChannels, ResnetSettings resnet, IReadOnlyList<Transformer2DModel?> layers,
        long? downsamplePadding)
        : base(nameof(DownBlock2D))
    {
        resnets = new([.. layers.Select((_, i) => new ResnetBlock2D(i == 0 ? inChannels : outChannels, outChannels, resnet))]);
        attentions = UNetBlocks.List(layers);
        downsamplers = downsamplePadding is { } padding ? new(new Downsample2D(outChannels, padding)) : null;
        RegisterComponents();
    }

    /// <param name="hidden">(batch, channels, height, width).</param>
    /// <param name="context">Time, text and run.</param>
    /// <param name="skips">Receives the result of every layer.</param>
    public override Tensor forward(Tensor hidden, BlockContext context, Stack<Tensor> skips)
    {
        foreach (var (i, resnet) in context.Driver.Each(resnets).Index())
        {
            hidden = resnet.call(hidden, context.TimeEmbedding);
            hidden = attentions?[i].call(hidden, context).Freeing(hidden) ?? hidden;
            skips.Push(hidden);
        }

        if (downsamplers is not null)
        {
            hidden = downsamplers[0].call(hidden);
            skips.Push(hidden);
        }

        return hidden;
    }

    /// <summary>Counts what a pass makes.</summary>
    /// <param name="count">The count.</param>
    /// <param name="where">The block's name.</param>
    /// <param name="pixels">Rows times height times width.</param>
    /// <param name="pixelsBelow">The same one level below.</param>
    public void Count(ActivationCount count, string where, double pixels, double pixelsBelow)
    {
        foreach (var resnet in resnets)
        {
            count.At(where, pixels * Math.Max(resnet.PeakElements, UNetBlocks.PeakOf(attentions, resnet, count)));
            count.Keep(pixels * resnet.OutChannels);
        }

        if (downsamplers is not null)
        {
            count.Keep(pixelsBelow * resnets[^1].OutChannels);
        }
    }
}

/// <summary>The middle of a UNet (diffusers' <c>UNetMidBlock2DCrossAttn</c>; without transformers <c>UNetMidBlock2D</c> with
/// <c>add_attention=False</c>).</summary>
internal sealed class MidBlock2D : ScopedModule<Tensor, BlockContext, Tensor>
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

    protected override Tensor Compute(Tensor hidden, BlockContext context)
    {
        hidden = resnets[0].call(hidden, context.TimeEmbedding);
        hidden = attentions[0].call(hidden, context).Freeing(hidden);
        return resnets[1].call(hidden, context.TimeEmbedding);
    }

    /// <inheritdoc cref="DownBlock2D.Count"/>
    public void Count(ActivationCount count, string where, double pixels) =>
        count.At(where, pixels * Math.Max(resnets[0].PeakElements, UNetBlocks.PeakOf(attentions, resnets[0], count)));
}

/// <summary>A level of a UNet on the way up: every resnet takes the result of its counterpart on the way down in addition to its own
/// input (diffusers' <c>UpBlock2D</c> and <c>CrossAttnUpBlock2D</c>).</summary>
internal sealed class UpBlock2D : nn.Module<Tensor, BlockContext, Stack<Tensor>, Tensor>
{
    private readonly ModuleList<ResnetBlock2D> resnets;
    private readonly ModuleList<Transformer2DModel>? attentions;
    private readonly ModuleList<Upsample2D>? upsamplers;

    /// <param name="inChannels">Channels of the input.</param>
    /// <param name="skipChannels">Channels of the last skip; the others have <paramref name="outChannels"/>.</param>
    /// <param name="outChannels">Channels of the output.</param>
    /// <param name="resnet">Settings of the resnets.</param>
    /// <param name="layers">For each resnet the transformer after it, or null for none.</param>
    /// <param name="upsample">Whether an upsampler follows.</param>
    public UpBlock2D(long inChannels, long skipChannels, long outChannels, ResnetSettings resnet, IReadOnlyList<Transformer2DModel?> layers,
        bool upsample)
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

    /// <param name="hidden">(batch, channels, height, width); it is freed as soon as it is joined with the first skip.</param>
    /// <param name="context">Time, text and run.</param>
    /// <param name="skips">Results of the way down; as many are taken and freed as there are resnets.</param>
    public override Tensor forward(Tensor hidden, BlockContext context, Stack<Tensor> skips)
    {
        foreach (var (i, resnet) in context.Driver.Each(resnets).Index())
        {
            var skip = skips.Pop();
            hidden = cat([hidden, skip], dim: 1).Freeing(hidden, skip);
            hidden = resnet.call(hidden, context.TimeEmbedding).Freeing(hidden);
            hidden = attentions?[i].call(hidden, context).Freeing(hidden) ?? hidden;
        }

        // To the size of the next skip: twice this one's, or one less where a level's size was odd.
        return upsamplers?[0].call(hidden, skips.Peek().shape[2..]).Freeing(hidden) ?? hidden;
    }

    /// <summary>Counts what a pass makes.</summary>
    /// <param name="count">The count.</param>
    /// <param name="where">The block's name.</param>
    /// <param name="pixels">Rows times height times width.</param>
    /// <param name="pixelsAbove">The same one level above.</param>
    public void Count(ActivationCount count, string where, double pixels, double pixelsAbove)
    {
        foreach (var resnet in resnets)
        {
            count.Free();
            count.At(where, pixels * Math.Max(resnet.InChannels + resnet.PeakElements, UNetBlocks.PeakOf(attentions, resnet, count)));
        }

        if (upsamplers is not null)
        {
            var channels = resnets[^1].OutChannels;
            count.At(where, channels * (pixels + (2 * pixelsAbove)));
        }
    }
}

internal static class UNetBlocks
{
    public static ModuleList<Transformer2DModel>? List(IReadOnlyList<Transformer2DModel?> layers) =>
        layers.Any(l => l is null) ? null : new([.. layers.Select(l => l!)]);

    /// <summary>Returns the most elements of the transformer after a resnet at each pixel.</summary>
    public static double PeakOf(ModuleList<Transformer2DModel>? attentions, ResnetBlock2D resnet, ActivationCount count) =>
        attentions is null ? 0 : Transformer2DModel.PeakElements(count.FusesGates) * resnet.OutChannels;
}
