using StorySync.Attention;
using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Transformer blocks over the pixels of a feature map (diffusers' <c>Transformer2DModel</c>).</summary>
internal sealed class Transformer2DModel : ScopedModule<Tensor, BlockContext, Tensor>
{
    private readonly GroupNorm norm;
    private readonly nn.Module<Tensor, Tensor> proj_in;
    private readonly ModuleList<BasicTransformerBlock> transformer_blocks;
    private readonly nn.Module<Tensor, Tensor> proj_out;
    private readonly bool linearProjection;

    public Transformer2DModel(long channels, int heads, int layers, TransformerSettings settings)
        : base(nameof(Transformer2DModel))
    {
        if (heads < 1 || heads > channels)
        {
            throw new ArgumentException(
                $"'attention_head_dim' is {heads} for a level of {channels} channels; it must be from 1 to the number of channels.");
        }

        var headWidth = (int)(channels / heads);
        var inner = (long)heads * headWidth;
        linearProjection = settings.LinearProjection;
        norm = new GroupNorm(settings.Groups, channels, epsilon: 1e-6);
        proj_in = linearProjection ? new Linear(channels, inner) : new Conv2d(channels, inner, kernel: 1);
        transformer_blocks = new ModuleList<BasicTransformerBlock>([.. Enumerable.Range(0, layers).Select(_ =>
            new BasicTransformerBlock(inner, heads, headWidth, settings.TextWidth, settings.OnlyCrossAttention))]);
        proj_out = linearProjection ? new Linear(inner, channels) : new Conv2d(inner, channels, kernel: 1);
        RegisterComponents();
    }

    /// <summary>Gets the most elements that the tensors of a pass take together for each pixel and channel: in the feed-forward part of a
    /// block, its input, the sum so far, that sum's norm, and 8 + 4 of the gate, or, where one kernel projects and gates, 4 and the
    /// result.</summary>
    /// <param name="fusesGates">Whether one kernel projects and gates.</param>
    public static int PeakElements(bool fusesGates) => fusesGates ? 8 : 15;

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="context">Text and run.</param>
    protected override Tensor Compute(Tensor input, BlockContext context)
    {
        var (height, width) = (input.shape[2], input.shape[3]);
        context = context with { Grid = new TokenGrid((int)height, (int)width) };
        var hidden = Scoped(() => linearProjection ? proj_in.call(ToTokens(norm.call(input))) : ToTokens(proj_in.call(norm.call(input))));
        foreach (var block in context.Driver.Each(transformer_blocks))
        {
            hidden = block.call(hidden, context).Freeing(hidden);
        }

        var output = linearProjection ? ToImage(proj_out.call(hidden), height, width) : proj_out.call(ToImage(hidden, height, width));
        return output.Plus_(input);
    }

    private static Tensor ToTokens(Tensor x) => x.permute(0, 2, 3, 1).flatten(1, 2);

    private static Tensor ToImage(Tensor x, long height, long width) => x.unflatten(1, [height, width]).permute(0, 3, 1, 2);
}

/// <summary>What the transformers of a UNet have in common.</summary>
/// <param name="TextWidth">Width of the text.</param>
/// <param name="Groups">Groups of the norm before the blocks.</param>
/// <param name="LinearProjection">Whether the projections are linear layers on tokens or 1×1 convolutions on pixels.</param>
/// <param name="OnlyCrossAttention">Whether the first attention reads the text too.</param>
internal sealed record TransformerSettings(long TextWidth, long Groups, bool LinearProjection, bool OnlyCrossAttention);
