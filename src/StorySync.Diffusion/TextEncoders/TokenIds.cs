using static TorchSharp.torch;

namespace StorySync.Diffusion.TextEncoders;

/// <summary>Token ids are checked before they index a table: out of range on a GPU, they would take the whole process down.</summary>
internal static class TokenIds
{
    /// <exception cref="ArgumentException">They are not integers of shape (batch, tokens), too many, or outside the vocabulary.</exception>
    public static void Check(Tensor ids, long vocabularySize, long maximumLength = long.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(ids);
        if (ids.dtype != ScalarType.Int64 || ids.dim() != 2 || ids.numel() == 0)
        {
            throw new ArgumentException(
                $"Token ids must be int64 of shape (batch, tokens), at least one each; found {ids.dtype} of shape "
                    + $"({string.Join(", ", ids.shape)}).");
        }

        if (ids.shape[1] > maximumLength)
        {
            throw new ArgumentException(
                $"There are {ids.shape[1]} tokens; this text encoder takes at most {maximumLength}. Truncate the prompt.");
        }

        using var scope = NewDisposeScope();
        var (least, most) = (ids.min().item<long>(), ids.max().item<long>());
        if (least < 0 || most >= vocabularySize)
        {
            throw new ArgumentException(
                $"Token id {(least < 0 ? least : most)} is outside the text encoder's vocabulary of {vocabularySize}: "
                + "the tokenizer is not the one that belongs to it.");
        }
    }
}
