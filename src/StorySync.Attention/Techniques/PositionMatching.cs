using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Takes other images' layout out of shared keys that carry a rotary position embedding: each cross-image key is turned back from
/// its position and on to that of the reading image's token that it is most like.</summary>
internal static class PositionMatching
{
    /// <summary>Moves cross-image keys. A key's match is the own token whose key, turned back too, has the largest cosine with it over
    /// all heads together; of equals the first.</summary>
    /// <param name="rotary">The positions of the tokens of a sequence.</param>
    /// <param name="crossImage">Keys of cross-image tokens, (rows, cross-image tokens, heads, width).</param>
    /// <param name="otherTokens">Where these are in their own sequences, (cross-image tokens).</param>
    /// <param name="own">Keys that they may match, (rows, own tokens, heads, width).</param>
    /// <param name="ownTokens">Where these are, (own tokens), at least one.</param>
    /// <returns>The cross-image keys at their matches' positions.</returns>
    public static Tensor Apply(RotaryEmbedding rotary, Tensor crossImage, Tensor otherTokens, Tensor own, Tensor ownTokens)
    {
        using var scope = NewDisposeScope();
        var content = rotary.At(otherTokens).Undo(crossImage.transpose(1, 2));
        var ownContent = rotary.At(ownTokens).Undo(own.transpose(1, 2));
        var match = Directions(content).bmm(Directions(ownContent).transpose(1, 2)).argmax(-1);
        return rotary.At(ownTokens.take(match).unsqueeze(1)).Apply(content).transpose(1, 2).MoveToOuterDisposeScope();
    }

    private static Tensor Directions(Tensor keys) => nn.functional.normalize(keys.transpose(1, 2).flatten(2), dim: -1);
}
