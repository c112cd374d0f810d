using StorySync.Diffusion.Tokenizers;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Prompts as a text encoder takes them.</summary>
internal static class PromptIds
{
    /// <summary>Returns the ids of several prompts.</summary>
    /// <param name="tokenizer">The encoder's tokenizer.</param>
    /// <param name="prompts">One for all rows or one each.</param>
    /// <param name="rows">The number of rows.</param>
    /// <param name="device">Where the encoder is.</param>
    /// <param name="length">Tokens in a row; null for the tokenizer's own number.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    /// <returns>(rows, tokens), int64.</returns>
    public static Tensor Ids(
        this PromptTokenizer tokenizer,
        IReadOnlyList<string> prompts,
        int rows,
        Device device,
        int? length = null,
        CancellationToken cancellationToken = default)
    {
        var ids = Enumerable.Range(0, rows)
            .Select(i => tokenizer.EncodePadded(prompts.Count == 1 ? prompts[0] : prompts[i], length, cancellationToken).Ids).ToArray();
        return tensor([.. ids.SelectMany(row => row)], [rows, ids[0].Length], dtype: int64, device: device);
    }
}
