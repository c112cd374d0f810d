using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Encoded prompts as a denoiser takes them: some tensors with one row per batch row, in the caller's dispose scope.</summary>
/// <param name="Text">The text tokens, (rows, tokens, width).</param>
internal abstract record PromptEmbeddings(Tensor Text)
{
    /// <summary>Chosen rows, in a given order.</summary>
    /// <param name="rows">Row numbers, (n), int64.</param>
    public abstract PromptEmbeddings Select(Tensor rows);
}
