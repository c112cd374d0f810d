using StorySync.Diffusion.Tokenizers;

namespace StorySync.Pipelines;

/// <summary>Prompts that an encoder reads.</summary>
/// <param name="Encoder">The encoder's folder.</param>
/// <param name="Tokenizer">Its tokenizer.</param>
/// <param name="Length">How many tokens it takes; null for the tokenizer's own number.</param>
/// <param name="Prompts">The prompts.</param>
internal sealed record PromptReading(string Encoder, PromptTokenizer Tokenizer, int? Length, IReadOnlyList<string> Prompts)
{
    /// <summary>Gets what a prompt that is too long can be read with; empty for nothing.</summary>
    public string AdviceOnLength { get; init; } = "";

    /// <summary>Gets what reads weights; empty for nothing.</summary>
    public string AdviceOnWeights { get; init; } = "";
}
