namespace StorySync.Diffusion.Tokenizers;

/// <summary>A piece of a prompt.</summary>
/// <param name="Text">Its words.</param>
/// <param name="Weight">What they are multiplied by.</param>
/// <param name="BeginsChunk">Whether what is before it ends its chunk.</param>
internal readonly record struct PromptSegment(string Text, double Weight, bool BeginsChunk);

/// <summary>A prompt of any length as sequences that a text encoder takes one by one.</summary>
/// <param name="Encoding">The sequences as one, and where the words are in it.</param>
/// <param name="Chunks">The sequences, at least one.</param>
/// <param name="Empty">A sequence without words, which fills a prompt up.</param>
internal sealed record ChunkedPrompt(TokenEncoding Encoding, IReadOnlyList<PromptChunk> Chunks, PromptChunk Empty)
{
    /// <summary>Returns the sequences, filled up to a number of them.</summary>
    public IEnumerable<PromptChunk> Filled(int count) => [.. Chunks, .. Enumerable.Repeat(Empty, count - Chunks.Count)];
}

/// <summary>One sequence of a prompt: begin token, words, end token, padding.</summary>
/// <param name="ids">The ids of a sequence without words.</param>
/// <param name="end">Where its end token is.</param>
internal sealed class PromptChunk(long[] ids, int end)
{
    private readonly float[] weights = [.. Enumerable.Repeat(1f, ids.Length)];

    public IReadOnlyList<long> Ids => ids;

    /// <summary>Gets the weight of each position, 1 for all that carry no words.</summary>
    public IReadOnlyList<float> Weights => weights;

    /// <summary>Gets the position of the end token.</summary>
    public int End { get; private set; } = end;

    /// <summary>Puts a token in front of the end.</summary>
    public void Add(int id, double weight, int endId)
    {
        (ids[End], weights[End]) = (id, (float)weight);
        ids[++End] = endId;
    }
}
