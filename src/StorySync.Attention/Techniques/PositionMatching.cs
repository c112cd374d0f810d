using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Takes the foreign layout out of shared keys that carry a rotary position embedding: each foreign key is turned back from its
/// own position and on to that of the token at home that it is most like.</summary>
internal static class PositionMatching
{
    /// <summary>Moves foreign keys. A key's match is the home token whose key, turned back too, has the largest cosine with it over all
    /// heads together; of equals the first.</summary>
    /// <param name="rotary">The positions of the tokens of a sequence.</param>
    /// <param name="foreign">Keys of foreign tokens, (rows, foreign tokens, heads, width).</param>
    /// <param name="foreignTokens">Where these are in their own sequences, (foreign tokens).</param>
    /// <param name="home">Keys that they may match, (rows, home tokens, heads, width).</param>
    /// <param name="homeTokens">Where these are, (home tokens), at least one.</param>
    /// <returns>The foreign keys at their matches' positions.</returns>
    public static Tensor Apply(RotaryEmbedding rotary, Tensor foreign, Tensor foreignTokens, Tensor home, Tensor homeTokens)
    {
        using var scope = NewDisposeScope();
        var content = rotary.At(foreignTokens).Undo(foreign.transpose(1, 2));
        var homeContent = rotary.At(homeTokens).Undo(home.transpose(1, 2));
        var match = Directions(content).bmm(Directions(homeContent).transpose(1, 2)).argmax(-1);
        return rotary.At(homeTokens.take(match).unsqueeze(1)).Apply(content).transpose(1, 2).MoveToOuterDisposeScope();
    }

    private static Tensor Directions(Tensor keys) => nn.functional.normalize(keys.transpose(1, 2).flatten(2), dim: -1);
}
