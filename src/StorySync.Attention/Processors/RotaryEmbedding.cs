using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>The tables of a rotary position embedding over interleaved pairs:
/// <c>x ← x·cos + rotate(x)·sin</c> with <c>rotate(a, b) = (−b, a)</c> for each pair (diffusers' <c>apply_rotary_emb</c>).</summary>
/// <param name="Cos">Cosines, (…, tokens, head width); each value stands twice, once for each half of its pair.</param>
/// <param name="Sin">Sines, same shape.</param>
public sealed record RotaryEmbedding(Tensor Cos, Tensor Sin)
{
    /// <summary>Rotates queries or keys, in float32.</summary>
    /// <param name="x">(…, tokens, head width).</param>
    /// <returns>Same shape and dtype.</returns>
    public Tensor Apply(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        using var scope = NewDisposeScope();

        // A pair (a, b) turned by an angle is the complex product (a + ib)(cos + i·sin).
        var turns = complex(OncePerPair(Cos), OncePerPair(Sin));
        var pairs = x.to(float32).unflatten(x.dim() - 1, [-1, 2]).view_as_complex();
        return pairs.mul(turns).view_as_real().flatten(-2).to(x.dtype).MoveToOuterDisposeScope();
    }

    /// <summary>Turns back what <see cref="Apply"/> has turned.</summary>
    /// <param name="x">(…, tokens, head width).</param>
    /// <returns>Same shape and dtype.</returns>
    public Tensor Undo(Tensor x)
    {
        using var scope = NewDisposeScope();
        return (this with { Sin = Sin.neg() }).Apply(x).MoveToOuterDisposeScope();
    }

    /// <summary>The tables of chosen tokens.</summary>
    /// <param name="tokens">Which, int64, any shape.</param>
    /// <returns>Tables of shape (…, head width) for tokens (…), in the caller's dispose scope.</returns>
    public RotaryEmbedding At(Tensor tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        using var scope = NewDisposeScope();
        return new RotaryEmbedding(Of(Cos), Of(Sin));

        Tensor Of(Tensor table) => table.index_select(0, tokens.flatten()).reshape([.. tokens.shape, -1]).MoveToOuterDisposeScope();
    }

    private static Tensor OncePerPair(Tensor table) => table.slice(-1, 0, table.shape[^1], 2);
}
