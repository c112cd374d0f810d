using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Layers;
using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Flux;

/// <summary>What one forward pass tells each of its blocks besides hidden states and conditioning.</summary>
/// <param name="Rotary">The positions of all tokens, text first.</param>
/// <param name="Grid">The grid of the image tokens.</param>
/// <param name="TextTokens">The number of text tokens, which lead.</param>
/// <param name="Context">The denoising context.</param>
internal sealed record FluxBlockContext(RotaryEmbedding Rotary, TokenGrid Grid, int TextTokens, DenoisingContext Context);

/// <summary>A double block: text and image tokens attend together and have all else apart (diffusers'
/// <c>FluxTransformerBlock</c>).</summary>
internal sealed class FluxTransformerBlock
    : ScopedModule<Tensor, Tensor, Tensor, FluxBlockContext, (Tensor Image, Tensor Text)>
{
    private readonly AdaLayerNormZero norm1;
    private readonly AdaLayerNormZero norm1_context;
    private readonly FluxAttention attn;
    private readonly LayerNorm norm2;
    private readonly FeedForward ff;
    private readonly LayerNorm norm2_context;
    private readonly FeedForward ff_context;

    public FluxTransformerBlock(int heads, int headWidth)
        : base(nameof(FluxTransformerBlock))
    {
        var width = (long)heads * headWidth;
        norm1 = new AdaLayerNormZero(width);
        norm1_context = new AdaLayerNormZero(width);
        attn = new FluxAttention(heads, headWidth);
        norm2 = Modulation.Norm(width);
        ff = new FeedForward(width, gated: false);
        norm2_context = Modulation.Norm(width);
        ff_context = new FeedForward(width, gated: false);
        RegisterComponents();
    }

    /// <param name="image">(batch, image tokens, width).</param>
    /// <param name="text">(batch, text tokens, width).</param>
    /// <param name="temb">The conditioning, (batch, width).</param>
    /// <param name="context">Positions, grid and run.</param>
    protected override (Tensor Image, Tensor Text) Compute(Tensor image, Tensor text, Tensor temb, FluxBlockContext context)
    {
        var forImage = norm1.call(image, temb);
        var forText = norm1_context.call(text, temb);
        var (imageAttended, textAttended) = attn.call((forImage.Normed, forText.Normed), context)
            .Freeing(forImage.Normed, forText.Normed);

        image = image.AddGated(forImage.Gate, imageAttended);
        image = image.AddGated(forImage.MlpGate, ff.call(norm2.call(image).Modulate(forImage.MlpShift, forImage.MlpScale)));

        text = text.AddGated(forText.Gate, textAttended);
        text = text.AddGated(forText.MlpGate, ff_context.call(norm2_context.call(text).Modulate(forText.MlpShift, forText.MlpScale)));
        return (image, text.ClampFloat16());
    }
}

/// <summary>A single block: text and image tokens are one sequence, attention and feed-forward run in parallel (diffusers'
/// <c>FluxSingleTransformerBlock</c>).</summary>
internal sealed class FluxSingleTransformerBlock : ScopedModule<Tensor, Tensor, FluxBlockContext, Tensor>
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

    /// <summary>Gets the elements, per token and unit of width, that the largest tensors of the block take together: its input and that
    /// input's norm, then either what attention and feed-forward gave, 1 + 4, and both joined; or, in sharing, queries, keys and values,
    /// copies of them by branch and by image, and what was attended.</summary>
    /// <param name="shares">Whether the images share attention.</param>
    /// <param name="hasBaseline">Whether an unmodified branch runs along.</param>
    public static int PeakElements(bool shares, bool hasBaseline) => !shares ? 12 : hasBaseline ? 15 : 14;

    /// <param name="joint">Text tokens, then image tokens, (batch, tokens, width).</param>
    /// <param name="temb">The conditioning, (batch, width).</param>
    /// <param name="context">Positions, grid and run.</param>
    protected override Tensor Compute(Tensor joint, Tensor temb, FluxBlockContext context)
    {
        var (normed, gate) = norm.call(joint, temb);
        var (attended, mlp) = (attn.call(normed, context), Fused.LinearGeluTanh(proj_mlp, normed));
        var branches = cat([attended, mlp], 2).Freeing(attended, mlp, normed);
        return joint.AddGated(gate, proj_out.call(branches)).ClampFloat16();
    }
}

/// <summary>What the attention of both kinds of blocks has: projections of image tokens, which in a single block are all tokens
/// (diffusers' <c>FluxAttention</c>).</summary>
/// <typeparam name="TTokens">The tokens, projected together or apart.</typeparam>
internal abstract class FluxAttentionBase<TTokens> : ScopedModule<TTokens, FluxBlockContext, TTokens>, IAttentionLayer
{
    protected readonly RmsNorm norm_q;
    protected readonly RmsNorm norm_k;
    protected readonly Linear to_q;
    protected readonly Linear to_k;
    protected readonly Linear to_v;

    protected FluxAttentionBase(string name, int heads, int headWidth)
        : base(name)
    {
        var width = (long)heads * headWidth;
        norm_q = new RmsNorm(headWidth, epsilon: 1e-6);
        norm_k = new RmsNorm(headWidth, epsilon: 1e-6);
        to_q = new Linear(width, width);
        to_k = new Linear(width, width);
        to_v = new Linear(width, width);
        Layer = new AttentionLayer("", AttentionKind.Joint, heads, headWidth);
    }

    public AttentionLayer Layer { get; set; }

    public IAttentionProcessor Processor { get; set; } = PlainAttention.Instance;

    protected Tensor Split(Tensor tokens) => tokens.SplitHeads(Layer.Heads);

    protected Tensor Attend(Tensor query, Tensor key, Tensor value, FluxBlockContext context) => this.Attend(
        new AttentionInputs(query, key, value, context.Grid, context.TextTokens) { Rotary = context.Rotary }, context.Context);
}

/// <summary>The attention of a double block: text and image tokens have projections of their own and attend as one sequence
/// (diffusers' <c>FluxAttention</c> with <c>added_kv_proj_dim</c>).</summary>
internal sealed class FluxAttention : FluxAttentionBase<(Tensor Image, Tensor Text)>
{
    private readonly ModuleList<Linear> to_out;
    private readonly RmsNorm norm_added_q;
    private readonly RmsNorm norm_added_k;
    private readonly Linear add_q_proj;
    private readonly Linear add_k_proj;
    private readonly Linear add_v_proj;
    private readonly Linear to_add_out;

    public FluxAttention(int heads, int headWidth)
        : base(nameof(FluxAttention), heads, headWidth)
    {
        var width = (long)heads * headWidth;
        to_out = new ModuleList<Linear>(new Linear(width, width));
        norm_added_q = new RmsNorm(headWidth, epsilon: 1e-6);
        norm_added_k = new RmsNorm(headWidth, epsilon: 1e-6);
        add_q_proj = new Linear(width, width);
        add_k_proj = new Linear(width, width);
        add_v_proj = new Linear(width, width);
        to_add_out = new Linear(width, width);
        RegisterComponents();
    }

    /// <param name="tokens">(batch, image tokens, width) and (batch, text tokens, width).</param>
    /// <param name="context">Positions, grid and run.</param>
    protected override (Tensor Image, Tensor Text) Compute((Tensor Image, Tensor Text) tokens, FluxBlockContext context)
    {
        var (image, text) = tokens;
        var query = Scoped(() => context.Rotary.Apply(
            Joined(norm_q.call(Split(to_q.call(image))), norm_added_q.call(Split(add_q_proj.call(text))))));
        var key = Scoped(() => context.Rotary.Apply(
            Joined(norm_k.call(Split(to_k.call(image))), norm_added_k.call(Split(add_k_proj.call(text))))));
        var value = Scoped(() => Joined(Split(to_v.call(image)), Split(add_v_proj.call(text))));
        var attended = Attend(query, key, value, context).Freeing(query, key, value);
        return (
            to_out[0].call(attended.narrow(1, context.TextTokens, context.Grid.Tokens)),
            to_add_out.call(attended.narrow(1, 0, context.TextTokens)));
    }

    private static Tensor Joined(Tensor image, Tensor text) => cat([text, image], 2);
}

/// <summary>The attention of a single block: text and image tokens share their projections, and what they attend to is not projected
/// back here (diffusers' <c>FluxAttention</c> with <c>pre_only</c>).</summary>
internal sealed class FluxSingleAttention : FluxAttentionBase<Tensor>
{
    public FluxSingleAttention(int heads, int headWidth)
        : base(nameof(FluxSingleAttention), heads, headWidth) => RegisterComponents();

    /// <param name="joint">Text tokens, then image tokens, (batch, tokens, width).</param>
    /// <param name="context">Positions, grid and run.</param>
    protected override Tensor Compute(Tensor joint, FluxBlockContext context)
    {
        var query = Scoped(() => context.Rotary.Apply(norm_q.call(Split(to_q.call(joint)))));
        var key = Scoped(() => context.Rotary.Apply(norm_k.call(Split(to_k.call(joint)))));
        return Attend(query, key, Split(to_v.call(joint)), context);
    }
}

/// <summary>The norm before the attention of a double block; brings the modulation of the feed-forward along (diffusers'
/// <c>AdaLayerNormZero</c>).</summary>
internal sealed class AdaLayerNormZero
    : ScopedModule<Tensor, Tensor, (Tensor Normed, Tensor Gate, Tensor MlpShift, Tensor MlpScale, Tensor MlpGate)>
{
    private readonly Linear linear;
    private readonly LayerNorm norm;

    public AdaLayerNormZero(long width)
        : base(nameof(AdaLayerNormZero))
    {
        linear = new Linear(width, 6 * width);
        norm = Modulation.Norm(width);
        RegisterComponents();
    }

    protected override (Tensor Normed, Tensor Gate, Tensor MlpShift, Tensor MlpScale, Tensor MlpGate) Compute(Tensor x, Tensor temb)
    {
        var parts = linear.call(Activation.Silu(temb)).chunk(6, dim: 1);
        return (norm.call(x).Modulate(shift: parts[0], scale: parts[1]), parts[2], parts[3], parts[4], parts[5]);
    }
}

/// <summary>The norm of a single block, whose attention and feed-forward run in parallel (diffusers'
/// <c>AdaLayerNormZeroSingle</c>).</summary>
internal sealed class AdaLayerNormZeroSingle : ScopedModule<Tensor, Tensor, (Tensor Normed, Tensor Gate)>
{
    private readonly Linear linear;
    private readonly LayerNorm norm;

    public AdaLayerNormZeroSingle(long width)
        : base(nameof(AdaLayerNormZeroSingle))
    {
        linear = new Linear(width, 3 * width);
        norm = Modulation.Norm(width);
        RegisterComponents();
    }

    protected override (Tensor Normed, Tensor Gate) Compute(Tensor x, Tensor temb)
    {
        var parts = linear.call(Activation.Silu(temb)).chunk(3, dim: 1);
        return (norm.call(x).Modulate(shift: parts[0], scale: parts[1]), parts[2]);
    }
}

/// <summary>The norm before the last projection (diffusers' <c>AdaLayerNormContinuous</c>). Here scale comes before shift.</summary>
internal sealed class AdaLayerNormContinuous : ScopedModule<Tensor, Tensor, Tensor>
{
    private readonly Linear linear;
    private readonly LayerNorm norm;

    public AdaLayerNormContinuous(long width)
        : base(nameof(AdaLayerNormContinuous))
    {
        linear = new Linear(width, 2 * width);
        norm = Modulation.Norm(width);
        RegisterComponents();
    }

    protected override Tensor Compute(Tensor x, Tensor temb)
    {
        var parts = linear.call(Activation.Silu(temb)).chunk(2, dim: 1);
        return norm.call(x).Modulate(shift: parts[1], scale: parts[0]);
    }
}

/// <summary>How the conditioning steers a branch of a block: <c>norm(x)·(1 + scale) + shift</c> goes in, <c>gate</c> times what comes
/// out is added to <c>x</c>. Shift, scale and gate are (batch, width); x is (batch, tokens, width).</summary>
internal static class Modulation
{
    /// <summary>Returns the norm that is modulated: it has no weights of its own.</summary>
    public static LayerNorm Norm(long width) => new(width, epsilon: 1e-6, affine: false);

    /// <summary><c>x·(1 + scale) + shift</c>.</summary>
    public static Tensor Modulate(this Tensor x, Tensor shift, Tensor scale) =>
        shift.unsqueeze(1).PlusProduct(x, scale.Plus(1).unsqueeze(1));

    /// <summary><c>x + gate·branch</c>.</summary>
    public static Tensor AddGated(this Tensor x, Tensor gate, Tensor branch) => x.PlusProduct(gate.unsqueeze(1), branch);

    /// <summary>Keeps float16 from overflowing to infinity; other dtypes pass as they are.</summary>
    public static Tensor ClampFloat16(this Tensor x) => x.dtype == float16 ? x.Clamp_(-65504, 65504) : x;
}

/// <summary>The conditioning of every block: timestep, pooled text and, in a guidance-distilled model, the guidance scale, each
/// embedded, summed (diffusers' <c>CombinedTimestepTextProjEmbeddings</c> and <c>CombinedTimestepGuidanceTextProjEmbeddings</c>).</summary>
internal sealed class CombinedTimestepTextProjEmbeddings : ScopedModule<Tensor, Tensor?, Tensor, Tensor>
{
    private const int Channels = 256;

    private readonly Timesteps time_proj;
    private readonly TimestepEmbedding timestep_embedder;
    private readonly TimestepEmbedding? guidance_embedder;
    private readonly TimestepEmbedding text_embedder;

    public CombinedTimestepTextProjEmbeddings(long width, long pooledWidth, bool guidance)
        : base(nameof(CombinedTimestepTextProjEmbeddings))
    {
        time_proj = new Timesteps(Channels, flipSinToCos: true, frequencyShift: 0);
        timestep_embedder = new TimestepEmbedding(Channels, width);
        guidance_embedder = guidance ? new TimestepEmbedding(Channels, width) : null;
        text_embedder = new TimestepEmbedding(pooledWidth, width);
        RegisterComponents();
    }

    /// <param name="timestep">(batch), 0 … 1000.</param>
    /// <param name="guidance">(batch), the scale times 1000; null in a model without guidance embedding.</param>
    /// <param name="pooled">Pooled text, (batch, pooled width).</param>
    protected override Tensor Compute(Tensor timestep, Tensor? guidance, Tensor pooled)
    {
        var sum = timestep_embedder.call(time_proj.call(timestep).to(pooled.dtype));
        if (guidance_embedder is not null)
        {
            sum = sum.Plus_(guidance_embedder.call(time_proj.call(guidance!).to(pooled.dtype)));
        }

        return sum.Plus_(text_embedder.call(pooled));
    }
}

/// <summary>The tables of FLUX's rotary position embedding over several axes (diffusers' <c>FluxPosEmbed</c>).</summary>
/// <remarks>From ids, (tokens, axes), to cosines and sines, (tokens, head width), float32. Each axis has a share of the head;
/// pair i of a share of width d turns by <c>id · θ^(−2i/d)</c>.</remarks>
internal sealed class FluxPosEmbed(double theta, IReadOnlyList<int> axesDims)
    : ScopedModule<Tensor, (Tensor Cos, Tensor Sin)>(nameof(FluxPosEmbed))
{
    protected override (Tensor Cos, Tensor Sin) Compute(Tensor ids)
    {
        // On the CPU, because not every device has float64; the tables are small and made once per run.
        var positions = ids.to(float64, CPU);
        var angles = cat([.. axesDims.Select((dim, axis) => outer(positions.select(1, axis), Frequencies(dim)))], 1)
            .repeat_interleave(2, dim: 1);
        return (angles.cos().to(float32, ids.device), angles.sin().to(float32, ids.device));
    }

    private Tensor Frequencies(int dim) => tensor(theta, float64).pow(Arithmetic.Arange(0, dim, 2, float64).Over(dim)).reciprocal();
}
