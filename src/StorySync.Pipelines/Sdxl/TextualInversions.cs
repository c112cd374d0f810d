using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>The words that SDXL's text encoders were taught, by textual inversions.</summary>
internal sealed class TextualInversions(
    PromptTokenizer tokenizer, PromptTokenizer tokenizer2, CLIPTextModel encoder, CLIPTextModelWithProjection encoder2) : IDisposable
{
    private readonly List<(string Token, TextualInversion Vectors)> loaded = [];
    private (Tensor First, Tensor Second)? added;

    /// <summary>Gets the words, with the number of tokens of each.</summary>
    public IReadOnlyDictionary<string, int> Counts { get; private set; } = new Dictionary<string, int>();

    /// <summary>Gets the tokenizers that know the words.</summary>
    public (PromptTokenizer First, PromptTokenizer Second) Tokenizers { get; private set; } = (tokenizer, tokenizer2);

    /// <summary>Gets what tells the words apart from others, in their order.</summary>
    public IEnumerable<string> Identities => loaded.Select(own => $"{own.Token} ({own.Vectors.Hash})");

    /// <exception cref="ArgumentException">The model has the word already.</exception>
    public void Add(string path, string token)
    {
        if (Tokenizers.First.Knows(token) || Tokenizers.Second.Knows(token))
        {
            throw new ArgumentException(
                $"The model has the token \"{token}\" already; give the textual inversion another word, such as \"<{token}-2>\".");
        }

        loaded.Add((token, TextualInversion.Read(
            path, encoder.Config.HiddenSize, encoder2.Config.HiddenSize, tokenizer.ModelMaxLength - 2)));
        Apply();
    }

    /// <exception cref="KeyNotFoundException">There is no such word.</exception>
    public void Remove(string token)
    {
        var index = loaded.FindIndex(own => own.Token == token);
        if (index < 0)
        {
            throw new KeyNotFoundException(
                $"There is no textual inversion \"{token}\"; loaded are: "
                    + $"{string.Join(", ", loaded.Select(own => own.Token).DefaultIfEmpty("none"))}.");
        }

        loaded[index].Vectors.Dispose();
        loaded.RemoveAt(index);
        Apply();
    }

    public void Dispose()
    {
        added?.First.Dispose();
        added?.Second.Dispose();
        added = null;
        foreach (var (_, vectors) in loaded)
        {
            vectors.Dispose();
        }

        loaded.Clear();
    }

    private void Apply()
    {
        added?.First.Dispose();
        added?.Second.Dispose();
        added = loaded.Count == 0 ? null : (
            cat([.. loaded.Select(own => own.Vectors.First)]).DetachFromDisposeScope(),
            cat([.. loaded.Select(own => own.Vectors.Second)]).DetachFromDisposeScope());
        encoder.SetAddedTokens(added?.First);
        encoder2.SetAddedTokens(added?.Second);
        Tokenizers = (tokenizer.WithTokens(Ids(encoder.Config.VocabSize)), tokenizer2.WithTokens(Ids(encoder2.Config.VocabSize)));
        Counts = loaded.ToDictionary(own => own.Token, own => own.Vectors.Count, StringComparer.Ordinal);
    }

    /// <summary>The ids of the words, which lie after the encoder's own.</summary>
    private List<(string Content, IReadOnlyList<int> Ids)> Ids(int next)
    {
        var ids = new List<(string, IReadOnlyList<int>)>();
        foreach (var (token, vectors) in loaded)
        {
            ids.Add((token, [.. Enumerable.Range(next, vectors.Count)]));
            next += vectors.Count;
        }

        return ids;
    }
}
