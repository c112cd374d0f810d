using StorySync.Attention;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Transformer blocks over the pixels of a feature map (diffusers' <c>Transformer2DModel</c>).</summary>
internal sealed class Transformer2DModel : nn.Module<Tensor, BlockInputs, Tensor>
{
    private readonly GroupNorm norm;
    private readonly nn.Module<Tensor, Tensor> proj_in;
    private readonly ModuleList<BasicTransformerBlock> transformer_blocks;
    private readonly nn.Module<Tensor, Tensor> proj_out;
    private readonly bool linearProjection;

    public Transformer2DModel(long channels, int heads, int layers, TransformerSettings settings)
        : base(nameof(Transformer2DModel))
    {
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

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="inputs">Text and run.</param>
    public override Tensor forward(Tensor input, BlockInputs inputs)
    {
        using var scope = NewDisposeScope();
        var (height, width) = (input.shape[2], input.shape[3]);
        inputs = inputs with { Grid = new TokenGrid((int)height, (int)width) };
        var hidden = norm.call(input);
        hidden = linearProjection ? proj_in.call(ToTokens(hidden)) : ToTokens(proj_in.call(hidden));
        foreach (var block in transformer_blocks)
        {
            var next = block.call(hidden, inputs);
            hidden.Dispose();
            hidden = next;
        }

        hidden = linearProjection ? ToImage(proj_out.call(hidden), height, width) : proj_out.call(ToImage(hidden, height, width));
        return hidden.add_(input).MoveToOuterDisposeScope();
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
