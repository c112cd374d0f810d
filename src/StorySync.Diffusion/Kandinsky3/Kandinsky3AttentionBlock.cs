using StorySync.Attention;
using StorySync.Diffusion.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Kandinsky3;

/// <summary>Attention over the pixels of a feature map, then a feed-forward part, each behind a conditional norm and beside a residual
/// (diffusers' <c>Kandinsky3AttentionBlock</c>).</summary>
internal sealed class Kandinsky3AttentionBlock : nn.Module<Tensor, Tensor?, BlockInputs, Tensor>
{
    private readonly Kandinsky3ConditionalGroupNorm in_norm;
    private readonly AttentionBlock attention;
    private readonly Kandinsky3ConditionalGroupNorm out_norm;
    private readonly Sequential feed_forward;

    /// <param name="channels">Channels of the input and output.</param>
    /// <param name="settings">What the model's blocks have in common.</param>
    /// <param name="readsText">Whether pixels read the text or each other.</param>
    public Kandinsky3AttentionBlock(long channels, Kandinsky3Settings settings, bool readsText)
        : base(nameof(Kandinsky3AttentionBlock))
    {
        var (heads, headWidth) = settings.Split(channels);
        in_norm = new Kandinsky3ConditionalGroupNorm(channels, settings);
        attention = new AttentionBlock(channels, heads, headWidth, readsText ? settings.TextWidth : null, outBias: false);
        out_norm = new Kandinsky3ConditionalGroupNorm(channels, settings);
        feed_forward = nn.Sequential(
            new Conv2d(channels, 4 * channels, kernel: 1, bias: false),
            nn.SiLU(inplace: true),
            new Conv2d(4 * channels, channels, kernel: 1, bias: false));
        RegisterComponents();
    }

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="text">(batch, text tokens, width); null in self-attention.</param>
    /// <param name="inputs">Time, text mask and run.</param>
    public override Tensor forward(Tensor input, Tensor? text, BlockInputs inputs)
    {
        inputs.Context.CancellationToken.ThrowIfCancellationRequested();
        using var scope = NewDisposeScope();
        var (height, width) = (input.shape[2], input.shape[3]);
        inputs = inputs with { Grid = new TokenGrid((int)height, (int)width) };
        var tokens = in_norm.call(input, inputs.TimeEmbedding).flatten(2).transpose(1, 2);
        var hidden = attention.call(tokens, text, inputs).transpose(1, 2).unflatten(2, [height, width]).add_(input);
        return hidden.add_(out_norm.call(hidden, inputs.TimeEmbedding).Into(feed_forward)).MoveToOuterDisposeScope();
    }
}
