using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Layers;
using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Kandinsky3;

/// <summary>What the blocks of a <see cref="Kandinsky3UNet"/> have in common.</summary>
/// <param name="TimeWidth">Width of the time embedding.</param>
/// <param name="TextWidth">Width of the text.</param>
/// <param name="Groups">Groups of the norms.</param>
/// <param name="HeadWidth">The width of a head that the config asks for.</param>
internal sealed record Kandinsky3Settings(long TimeWidth, long TextWidth, long Groups, int HeadWidth)
{
    /// <summary>Returns how many heads a width takes, and how wide they really are: where the width is not a multiple of <see
    /// cref="HeadWidth"/>, the heads share what is left over.</summary>
    /// <exception cref="ArgumentException">The width cannot be shared evenly.</exception>
    public (int Heads, int HeadWidth) Split(long width)
    {
        var heads = (int)(width / HeadWidth);
        return heads > 0 && width % heads == 0
            ? (heads, (int)(width / heads))
            : throw new ArgumentException($"{width} channels cannot be shared among heads of attention_head_dim, {HeadWidth}.");
    }
}

/// <summary>A level on the way down: self-attention, then resnets in pairs with cross-attention between the two of a pair (diffusers'
/// <c>Kandinsky3DownSampleBlock</c>).</summary>
internal sealed class Kandinsky3DownSampleBlock : ScopedModule<Tensor, BlockContext, Tensor>
{
    private readonly ModuleList<Kandinsky3AttentionBlock>? attentions;
    private readonly ModuleList<Kandinsky3ResNetBlock> resnets_in;
    private readonly ModuleList<Kandinsky3ResNetBlock> resnets_out;
    private readonly double inChannels;
    private readonly double outChannels;

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
        (this.inChannels, this.outChannels) = (inChannels, outChannels);
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
    /// <param name="context">Time, text and run.</param>
    protected override Tensor Compute(Tensor input, BlockContext context)
    {
        var time = context.TimeEmbedding;
        var hidden = attentions?[0].call(input, null, context) ?? input.alias();
        foreach (var (i, resnet) in context.Driver.Each(resnets_in).Index())
        {
            hidden = resnet.call(hidden, time).Freeing(hidden);
            hidden = attentions?[i + 1].call(hidden, context.Text, context).Freeing(hidden) ?? hidden;
            hidden = resnets_out[i].call(hidden, time).Freeing(hidden);
        }

        return hidden;
    }

    /// <summary>Counts what a pass makes.</summary>
    /// <param name="count">The count.</param>
    /// <param name="where">The block's name.</param>
    /// <param name="pixels">Rows times height times width of the input.</param>
    /// <param name="pixelsBelow">The same of the output.</param>
    public void Count(ActivationCount count, string where, double pixels, double pixelsBelow)
    {
        var widest = Math.Max(
            Kandinsky3ResNetBlock.PeakElements(inChannels, outChannels),
            attentions is null ? 0 : Kandinsky3AttentionBlock.PeakElements * outChannels);
        count.At(where, pixels * (inChannels + widest));
        count.Keep(pixelsBelow * outChannels);
    }
}

/// <summary>A level on the way up: resnets in pairs with cross-attention between the two of a pair, then self-attention (diffusers'
/// <c>Kandinsky3UpSampleBlock</c>).</summary>
internal sealed class Kandinsky3UpSampleBlock : ScopedModule<Tensor, BlockContext, Tensor>
{
    private readonly ModuleList<Kandinsky3AttentionBlock>? attentions;
    private readonly ModuleList<Kandinsky3ResNetBlock> resnets_in;
    private readonly ModuleList<Kandinsky3ResNetBlock> resnets_out;
    private readonly double inChannels;
    private readonly double joinedChannels;
    private readonly double outChannels;

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
        (this.inChannels, joinedChannels, this.outChannels) = (inChannels, inChannels + skipChannels, outChannels);
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
    /// <param name="context">Time, text and run.</param>
    protected override Tensor Compute(Tensor input, BlockContext context)
    {
        var time = context.TimeEmbedding;
        var hidden = input.alias();
        foreach (var (i, resnet) in context.Driver.Each(resnets_in).Index())
        {
            hidden = resnet.call(hidden, time).Freeing(hidden);
            hidden = attentions?[i + 1].call(hidden, context.Text, context).Freeing(hidden) ?? hidden;
            hidden = resnets_out[i].call(hidden, time).Freeing(hidden);
        }

        return attentions?[0].call(hidden, null, context) ?? hidden;
    }

    /// <summary>Counts what a pass makes.</summary>
    /// <param name="count">The count.</param>
    /// <param name="where">The block's name.</param>
    /// <param name="pixelsBelow">Rows times height times width of the input.</param>
    /// <param name="pixels">The same of the output.</param>
    public void Count(ActivationCount count, string where, double pixelsBelow, double pixels)
    {
        count.Free();
        var resnet = Kandinsky3ResNetBlock.PeakElements(joinedChannels, joinedChannels > inChannels ? joinedChannels : outChannels);
        var widest = Math.Max(resnet, attentions is null ? 0 : Kandinsky3AttentionBlock.PeakElements * joinedChannels);
        count.At(where, (pixelsBelow * joinedChannels) + (pixels * widest));
    }
}

/// <summary>Four stages of norm, SiLU and convolution, narrow between the first and the last, and a shortcut (diffusers'
/// <c>Kandinsky3ResNetBlock</c>).</summary>
internal sealed class Kandinsky3ResNetBlock : ScopedModule<Tensor, Tensor, Tensor>
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

    /// <summary>Gets the most elements that a pass makes for each pixel: its input, which the shortcut reads, and a narrow stage's input,
    /// norm and output, or both outputs.</summary>
    public static double PeakElements(double inChannels, double outChannels) =>
        inChannels + Math.Max(3 * Math.Max(inChannels, outChannels) / 2, 2 * outChannels);

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="timeEmbedding">(batch, width).</param>
    protected override Tensor Compute(Tensor input, Tensor timeEmbedding)
    {
        var hidden = resnet_blocks[0].call(input, timeEmbedding);
        foreach (var block in resnet_blocks.Skip(1))
        {
            hidden = block.call(hidden, timeEmbedding).Freeing(hidden);
        }

        var shortcut = shortcut_up_sample?.call(input) ?? input;
        shortcut = shortcut_projection?.call(shortcut) ?? shortcut;
        shortcut = shortcut_down_sample?.call(shortcut) ?? shortcut;
        return hidden.Plus_(shortcut);
    }
}

/// <summary>A stage of a resnet: norm, SiLU, upsampling or none, convolution, downsampling or none (diffusers'
/// <c>Kandinsky3Block</c>).</summary>
internal sealed class Kandinsky3Block : ScopedModule<Tensor, Tensor, Tensor>
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

    protected override Tensor Compute(Tensor input, Tensor timeEmbedding)
    {
        var hidden = group_norm.Silu(input, timeEmbedding);
        hidden = up_sample?.call(hidden).Freeing(hidden) ?? hidden;
        hidden = projection.call(hidden).Freeing(hidden);
        return down_sample?.call(hidden) ?? hidden;
    }
}

/// <summary>Attention over the pixels of a feature map, then a feed-forward part, each after a conditional norm and with a residual
/// (diffusers' <c>Kandinsky3AttentionBlock</c>).</summary>
internal sealed class Kandinsky3AttentionBlock : ScopedModule<Tensor, Tensor?, BlockContext, Tensor>
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
            new Silu(inPlace: true),
            new Conv2d(4 * channels, channels, kernel: 1, bias: false));
        RegisterComponents();
    }

    /// <summary>Gets the most elements that a pass makes for each pixel and channel: at the second convolution of the feed-forward part,
    /// the block's input, two norms, what attention gave, 4 + 1 of the feed-forward part, and a copy in the order that the convolution
    /// wants.</summary>
    public static int PeakElements => 10;

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="text">(batch, text tokens, width); null in self-attention.</param>
    /// <param name="context">Time, text mask and run.</param>
    protected override Tensor Compute(Tensor input, Tensor? text, BlockContext context)
    {
        var (height, width) = (input.shape[2], input.shape[3]);
        context = context with { Grid = new TokenGrid((int)height, (int)width) };
        var tokens = in_norm.call(input, context.TimeEmbedding).flatten(2).transpose(1, 2);
        var hidden = attention.call(tokens, text, context).transpose(1, 2).unflatten(2, [height, width]).Plus_(input);
        return hidden.Plus_(Scoped(() => feed_forward.call(out_norm.call(hidden, context.TimeEmbedding))));
    }
}

/// <summary>A group norm whose scale and shift come from the time embedding (diffusers' <c>Kandinsky3ConditionalGroupNorm</c>).</summary>
internal sealed class Kandinsky3ConditionalGroupNorm : ScopedModule<Tensor, Tensor, Tensor>
{
    private readonly GroupNorm norm;
    private readonly Sequential context_mlp;

    /// <exception cref="ArgumentException">The channels do not form groups of equal size.</exception>
    public Kandinsky3ConditionalGroupNorm(long channels, Kandinsky3Settings settings)
        : base(nameof(Kandinsky3ConditionalGroupNorm))
    {
        norm = new GroupNorm(settings.Groups, channels, epsilon: 1e-5, affine: false, entry: "groups");
        context_mlp = nn.Sequential(new Silu(inPlace: false), new Linear(settings.TimeWidth, 2 * channels));
        RegisterComponents();
    }

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="timeEmbedding">(batch, width).</param>
    protected override Tensor Compute(Tensor input, Tensor timeEmbedding) => Modulate(input, timeEmbedding, silu: false);

    /// <summary>Returns the norm, and a SiLU.</summary>
    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="timeEmbedding">(batch, width).</param>
    public Tensor Silu(Tensor input, Tensor timeEmbedding) => Scoped(() => Modulate(input, timeEmbedding, silu: true));

    private Tensor Modulate(Tensor input, Tensor timeEmbedding, bool silu)
    {
        var parts = context_mlp.call(timeEmbedding).chunk(2, dim: 1);
        return Fused.GroupNormModulate(norm, input, parts[0].Plus(1), parts[1], silu);
    }
}

/// <summary>Brings the encoded text to the width that the model reads (diffusers' <c>Kandinsky3EncoderProj</c>).</summary>
internal sealed class Kandinsky3EncoderProj : ScopedModule<Tensor, Tensor>
{
    private readonly Linear projection_linear;
    private readonly LayerNorm projection_norm;

    public Kandinsky3EncoderProj(long inWidth, long outWidth)
        : base(nameof(Kandinsky3EncoderProj))
    {
        projection_linear = new Linear(inWidth, outWidth, bias: false);
        projection_norm = new LayerNorm(outWidth, epsilon: 1e-5);
        RegisterComponents();
    }

    protected override Tensor Compute(Tensor text) => projection_norm.call(projection_linear.call(text));
}

/// <summary>Adds what the text as a whole says to the time embedding (diffusers' <c>Kandinsky3AttentionPooling</c>).</summary>
internal sealed class Kandinsky3AttentionPooling : ScopedModule<Tensor, Tensor, Tensor?, Tensor?, Tensor>
{
    private const long EqualLength = 128;

    private readonly PoolingAttention attention;

    public Kandinsky3AttentionPooling(Kandinsky3Settings settings)
        : base(nameof(Kandinsky3AttentionPooling))
    {
        attention = new PoolingAttention(settings);
        RegisterComponents();
    }

    /// <param name="timeEmbedding">(batch, time width).</param>
    /// <param name="text">(batch, tokens, text width). All tokens form the query, those that the mask hides too.</param>
    /// <param name="mask">Added to the logits, (batch, 1, 1, tokens), or null.</param>
    /// <param name="absent">True where a row has no token at all, (batch, tokens), or null.</param>
    protected override Tensor Compute(Tensor timeEmbedding, Tensor text, Tensor? mask, Tensor? absent) =>
        attention.call(Mean(text, absent), text, mask).squeeze(1).Plus_(timeEmbedding);

    /// <summary>The mean over the tokens. How libtorch sums depends on how many there are: with so many zeros that texts of any length
    /// become equally long, a text's last bits do not depend on the length of the others.</summary>
    private static Tensor Mean(Tensor text, Tensor? absent)
    {
        var tokens = text.shape[1];
        var counts = absent is null
            ? tensor(tokens, device: text.device)
            : absent.logical_not().sum(1).view(-1, 1, 1);
        var present = absent is null ? text : text.MaskedFill(absent.unsqueeze(2), 0);
        return nn.functional.pad(present, [0, 0, 0, -tokens & (EqualLength - 1)]).sum(1, keepdim: true) / counts;
    }
}

/// <summary>Attention of one token to the text, from the text's width to that of the time embedding. No image takes part, so it is none
/// of the layers that processors serve.</summary>
internal sealed class PoolingAttention : ScopedModule<Tensor, Tensor, Tensor?, Tensor>
{
    private readonly Linear to_q;
    private readonly Linear to_k;
    private readonly Linear to_v;
    private readonly ModuleList<Linear> to_out;
    private readonly int heads;

    public PoolingAttention(Kandinsky3Settings settings)
        : base(nameof(PoolingAttention))
    {
        var (textWidth, width) = (settings.TextWidth, settings.TimeWidth);
        heads = settings.Split(width).Heads;
        to_q = new Linear(textWidth, width, bias: false);
        to_k = new Linear(textWidth, width, bias: false);
        to_v = new Linear(textWidth, width, bias: false);
        to_out = new ModuleList<Linear>(new Linear(width, width, bias: false));
        RegisterComponents();
    }

    protected override Tensor Compute(Tensor query, Tensor text, Tensor? mask)
    {
        var attended = ScaledDotProduct.Attend(
            to_q.call(query).SplitHeads(heads), to_k.call(text).SplitHeads(heads), to_v.call(text).SplitHeads(heads), mask);
        return to_out[0].call(attended.MergeHeads());
    }
}
