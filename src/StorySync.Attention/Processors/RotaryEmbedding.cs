using TorchSharp;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Represents a rotary position embedding over interleaved pairs: each pair (a, b) of a token's channels is turned by an angle,
/// <c>a ← a·cos − b·sin</c>, <c>b ← b·cos + a·sin</c> (diffusers' <c>apply_rotary_emb</c>).</summary>
public sealed class RotaryEmbedding
{
    /// <summary>Initializes a new instance of the <see cref="RotaryEmbedding"/> class. Its tensor belongs to the caller's dispose
    /// scope.</summary>
    /// <param name="cos">The cosines, (…, tokens, head width), float32; each value stands twice, once for each channel of its pair.</param>
    /// <param name="sin">The sines, of the same shape.</param>
    public RotaryEmbedding(Tensor cos, Tensor sin)
    {
        ArgumentNullException.ThrowIfNull(cos);
        ArgumentNullException.ThrowIfNull(sin);
        using var scope = NewDisposeScope();
        Turns = complex(OncePerPair(cos), OncePerPair(sin)).MoveToOuterDisposeScope();

        static Tensor OncePerPair(Tensor table) => table.slice(-1, 0, table.shape[^1], 2);
    }

    private RotaryEmbedding(Tensor turns) => Turns = turns;

    /// <summary>Gets the turn of each pair, <c>cos + i·sin</c>, (…, tokens, head width / 2), complex64. It is float32 whatever the type of
    /// a run, because queries and keys are turned in float32.</summary>
    public Tensor Turns { get; }

    /// <summary>Turns queries or keys, in float32.</summary>
    /// <param name="x">The queries or keys, (…, tokens, head width).</param>
    /// <returns>The turned ones, of the same shape and type.</returns>
    public Tensor Apply(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        using var scope = NewDisposeScope();

        // A pair (a, b) turned by an angle is the complex product (a + ib)(cos + i·sin).
        var pairs = x.to(float32).unflatten(x.dim() - 1, [-1, 2]).view_as_complex();
        return pairs.mul(Turns).view_as_real().flatten(-2).to(x.dtype).MoveToOuterDisposeScope();
    }

    /// <summary>Turns back what <see cref="Apply"/> has turned.</summary>
    /// <param name="x">The turned queries or keys, (…, tokens, head width).</param>
    /// <returns>The queries or keys, of the same shape and type.</returns>
    public Tensor Undo(Tensor x) => Scoped(() => new RotaryEmbedding(Turns.conj()).Apply(x));

    /// <summary>Selects tokens.</summary>
    /// <param name="tokens">The indices of the tokens, int64, any shape.</param>
    /// <returns>An embedding whose <see cref="Turns"/> are (shape of <paramref name="tokens"/>, head width / 2), in the caller's dispose
    /// scope.</returns>
    public RotaryEmbedding At(Tensor tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        using var scope = NewDisposeScope();
        return new RotaryEmbedding(Turns.index_select(0, tokens.flatten()).reshape([.. tokens.shape, -1]).MoveToOuterDisposeScope());
    }

    /// <summary>Copies the embedding to a device.</summary>
    /// <param name="device">The device.</param>
    /// <returns>The copy, in the caller's dispose scope; it shares its tensor with this one if that is there.</returns>
    public RotaryEmbedding To(Device device) => new(Turns.to(device));
}
