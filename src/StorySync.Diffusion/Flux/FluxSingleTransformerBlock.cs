using StorySync.Diffusion.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Flux;

/// <summary>A single block: text and image tokens are one sequence, attention and feed-forward run side by side (diffusers'
/// <c>FluxSingleTransformerBlock</c>).</summary>
internal sealed class FluxSingleTransformerBlock : nn.Module<Tensor, Tensor, Tensor, FluxPass, (Tensor Text, Tensor Image)>
{
    private const int MlpRatio = 4;

    private readonly AdaLayerNormZeroSingle norm;
    private readonly Linear proj_mlp;
    private readonly Linear proj_out;
    private readonly FluxSingleAttention attn;

    public FluxSingleTransformerBlock(int heads, int headWidth)
        : base(nameof(FluxSingleTransformerBlock))
    {
        var width = (long)heads * headWidth;
        norm = new AdaLayerNormZeroSingle(width);
        proj_mlp = new Linear(width, MlpRatio * width);
        proj_out = new Linear(width + (MlpRatio * width), width);
        attn = new FluxSingleAttention(heads, headWidth);
        RegisterComponents();
    }

    /// <param name="image">(batch, image tokens, width).</param>
    /// <param name="text">(batch, text tokens, width).</param>
    /// <param name="temb">The conditioning, (batch, width).</param>
    /// <param name="pass">Positions, grid and run.</param>
    public override (Tensor Text, Tensor Image) forward(Tensor image, Tensor text, Tensor temb, FluxPass pass)
    {
        using var scope = NewDisposeScope();
        var joint = cat([text, image], 1);
        var (normed, gate) = norm.call(joint, temb);
        var branches = AttentionAndMlp(normed, pass);
        normed.Dispose();
        joint = joint.AddGated(gate, proj_out.call(branches)).ClampFloat16();
        return (
            joint.narrow(1, 0, pass.TextTokens).MoveToOuterDisposeScope(),
            joint.narrow(1, pass.TextTokens, pass.Grid.Tokens).MoveToOuterDisposeScope());
    }

    private Tensor AttentionAndMlp(Tensor normed, FluxPass pass)
    {
        using var scope = NewDisposeScope();
        return cat([attn.call(normed, pass), Fused.LinearGeluTanh(proj_mlp, normed)], 2).MoveToOuterDisposeScope();
    }
}
