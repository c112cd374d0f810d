using StorySync.Diffusion.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Kandinsky3;

/// <summary>A group norm whose scale and shift come from the time embedding (diffusers' <c>Kandinsky3ConditionalGroupNorm</c>).</summary>
internal sealed class Kandinsky3ConditionalGroupNorm : nn.Module<Tensor, Tensor, Tensor>
{
    private readonly GroupNorm norm;
    private readonly Sequential context_mlp;

    /// <exception cref="ArgumentException">The channels do not form groups of equal size.</exception>
    public Kandinsky3ConditionalGroupNorm(long channels, Kandinsky3Settings settings)
        : base(nameof(Kandinsky3ConditionalGroupNorm))
    {
        if (channels % settings.Groups != 0)
        {
            throw new ArgumentException($"{channels} channels cannot be normalised in groups, {settings.Groups}, of equal size.");
        }

        norm = new GroupNorm(settings.Groups, channels, epsilon: 1e-5, affine: false);
        context_mlp = nn.Sequential(nn.SiLU(), new Linear(settings.TimeWidth, 2 * channels));
        RegisterComponents();
    }

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="timeEmbedding">(batch, width).</param>
    public override Tensor forward(Tensor input, Tensor timeEmbedding) => Apply(input, timeEmbedding, silu: false);

    /// <summary>The norm, and a SiLU.</summary>
    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="timeEmbedding">(batch, width).</param>
    public Tensor Silu(Tensor input, Tensor timeEmbedding) => Apply(input, timeEmbedding, silu: true);

    private Tensor Apply(Tensor input, Tensor timeEmbedding, bool silu)
    {
        using var scope = NewDisposeScope();
        var parts = context_mlp.call(timeEmbedding).chunk(2, dim: 1);
        return Fused.GroupNormModulate(norm, input, 1 + parts[0], parts[1], silu).MoveToOuterDisposeScope();
    }
}
