using System.Text;
using StorySync.Diffusion.Weights;

namespace StorySync.Diffusion.Tokenizers;

/// <summary>Converts prompts to the token ids of a text encoder: CLIP's byte-level BPE or T5's SentencePiece unigrams, with the ids of
/// transformers' <c>CLIPTokenizer</c> and <c>T5Tokenizer</c>. Immutable; one instance can serve many threads.</summary>
public sealed class PromptTokenizer
{
    private readonly ITokenizerModel model;
    private readonly IReadOnlyList<(string Content, IReadOnlyList<int> Ids)> normalized;
    private readonly SpecialTokens rawSpecials;
    private readonly SpecialTokens normalizedSpecials;

    internal PromptTokenizer(ITokenizerModel model, TokenizerSettings settings)
    {
        this.model = model;
        ModelMaxLength = settings.ModelMaxLength;

        var specials = settings.Assign(model);
        VocabularySize = Math.Max(model.VocabularySize, specials.Values.Max(s => s.Id) + 1);
        BosTokenId = settings.BosToken is { } bos ? specials[bos.Content].Id : null;
        EosTokenId = specials[settings.EosToken.Content].Id;
        PadTokenId = specials[settings.PadToken.Content].Id;
        rawSpecials = new SpecialTokens(
            specials.Where(s => !s.Value.Normalized).Select(s => (s.Key, (IReadOnlyList<int>)[s.Value.Id])));
        normalized = [.. specials.Where(s => s.Value.Normalized)
            .Select(s => (model.Normalize(s.Key), (IReadOnlyList<int>)[s.Value.Id]))];
        normalizedSpecials = new SpecialTokens(normalized);
    }

    private PromptTokenizer(
        PromptTokenizer other, int maxLength, IReadOnlyList<(string Content, IReadOnlyList<int> Ids)> added)
    {
        (model, rawSpecials, normalized) = (other.model, other.rawSpecials, other.normalized);
        normalizedSpecials = added.Count == 0 ? other.normalizedSpecials
            : new SpecialTokens([.. normalized, .. added.Select(token => (model.Normalize(token.Content), token.Ids))]);
        (VocabularySize, BosTokenId, EosTokenId, PadTokenId) = (other.VocabularySize, other.BosTokenId, other.EosTokenId, other.PadTokenId);
        ModelMaxLength = maxLength;
    }

    /// <summary>Gets the longest sequence that the text encoder takes (<c>model_max_length</c>); <see cref="int.MaxValue"/> where the
    /// folder names none.</summary>
    public int ModelMaxLength { get; }

    /// <summary>Gets the number of ids, special tokens included. A text encoder's embedding table may be larger.</summary>
    public int VocabularySize { get; }

    /// <summary>Gets the id that every sequence begins with, null where the kind has none (T5).</summary>
    public int? BosTokenId { get; }

    /// <summary>Gets the id that ends every sequence.</summary>
    public int EosTokenId { get; }

    /// <summary>Gets the id that fills a sequence up.</summary>
    public int PadTokenId { get; }

    private int Prefix => BosTokenId is null ? 0 : 1;

    /// <summary>
    /// Loads a tokenizer folder of a diffusers model: <c>tokenizer.json</c>, or <c>vocab.json</c> with <c>merges.txt</c> (CLIP), or
    /// <c>spiece.model</c> (T5), and the settings in <c>tokenizer_config.json</c> and <c>special_tokens_map.json</c>, where there are any.
    /// </summary>
    /// <param name="folder">The folder, for example <c>tokenizer_2</c> of a model.</param>
    /// <exception cref="ModelFileException">The folder or its vocabulary is missing, a file is damaged, or the files do not fit
    /// together.</exception>
    public static PromptTokenizer Load(string folder) => TokenizerFolder.Load(folder);

    /// <summary>Loads a tokenizer as <see cref="Load(string)"/> does, of a model.</summary>
    internal static PromptTokenizer Load(ModelFolder model, string component) => TokenizerFolder.Load(model.Contents, component);

    /// <summary>Returns the ids of <paramref name="text"/> with begin and end tokens, however many they are.</summary>
    /// <param name="text">The prompt.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    public TokenEncoding Encode(string text, CancellationToken cancellationToken = default)
    {
        var (normalized, tokens) = Tokenize(text, cancellationToken);
        return Assemble(normalized, tokens, tokens.Count, length: 0);
    }

    /// <summary>Returns the ids of <paramref name="text"/> in a sequence of exactly <paramref name="maxLength"/> tokens: padded, or cut in
    /// front of the end token, which <see cref="TokenEncoding.TruncatedText"/> reports.</summary>
    /// <param name="text">The prompt.</param>
    /// <param name="maxLength">The length, at least that of an empty prompt; null means <see cref="ModelMaxLength"/>.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    /// <exception cref="ArgumentOutOfRangeException">The length has no room for the begin and end token.</exception>
    /// <exception cref="InvalidOperationException">No length was given, and the folder names none.</exception>
    public TokenEncoding EncodePadded(string text, int? maxLength = null, CancellationToken cancellationToken = default)
    {
        if (maxLength is null && ModelMaxLength == int.MaxValue)
        {
            throw new InvalidOperationException("The tokenizer's folder names no model_max_length: give the length to pad to.");
        }

        int length = maxLength ?? ModelMaxLength;
        ArgumentOutOfRangeException.ThrowIfLessThan(length, Prefix + 1, nameof(maxLength));

        var (normalized, tokens) = Tokenize(text, cancellationToken);
        return Assemble(normalized, tokens, Math.Min(tokens.Count, length - Prefix - 1), length);
    }

    /// <summary>Encodes a prompt as one chunk, which has what fits.</summary>
    internal ChunkedPrompt EncodeChunk(string text, CancellationToken cancellationToken = default)
    {
        var encoding = EncodePadded(text, cancellationToken: cancellationToken);
        return new ChunkedPrompt(encoding, [new PromptChunk([.. encoding.Ids], (int)encoding.AttentionMask.Sum() - 1)], EmptyChunk());
    }

    /// <summary>Encodes a prompt of any length in chunks, each of which is a sequence of <see cref="ModelMaxLength"/> tokens with begin and
    /// end of its own.</summary>
    /// <param name="segments">The prompt's pieces.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    internal ChunkedPrompt EncodeChunks(IReadOnlyList<PromptSegment> segments, CancellationToken cancellationToken = default)
    {
        var room = ModelMaxLength - Prefix - 1;
        ArgumentOutOfRangeException.ThrowIfLessThan(room, 1, nameof(ModelMaxLength));
        var (text, tokens, positions) = (new StringBuilder(), new List<Token>(), new List<int>());
        var chunks = new List<PromptChunk>();
        PromptChunk? open = null;
        foreach (var segment in segments)
        {
            if (segment.BeginsChunk)
            {
                _ = open ?? Begin();
                open = null;
                text.Append(' ');
            }

            var (normalized, found) = Tokenize(segment.Text, cancellationToken);
            foreach (var token in found)
            {
                open = open is null || open.End == room + Prefix ? Begin() : open;
                positions.Add(((chunks.Count - 1) * ModelMaxLength) + open.End);
                tokens.Add(new Token(token.Id, token.Start + text.Length, token.End + text.Length));
                open.Add(token.Id, segment.Weight, EosTokenId);
            }

            text.Append(normalized);
        }

        if (chunks.Count == 0)
        {
            Begin();
        }

        var mask = chunks.SelectMany(chunk => chunk.Ids.Select((_, i) => i <= chunk.End ? 1L : 0));
        return new ChunkedPrompt(
            new TokenEncoding(this, text.ToString(), tokens, positions, [.. chunks.SelectMany(chunk => chunk.Ids)], [.. mask]),
            chunks,
            EmptyChunk());

        PromptChunk Begin()
        {
            chunks.Add(EmptyChunk());
            return chunks[^1];
        }
    }

    private PromptChunk EmptyChunk() => new([.. Assemble("", [], kept: 0, ModelMaxLength).Ids], Prefix);

    /// <summary>Returns the tokenizer with a length for sequences where its folder names none.</summary>
    internal PromptTokenizer WithDefaultLength(int length) =>
        ModelMaxLength == int.MaxValue ? new PromptTokenizer(this, length, []) : this;

    /// <summary>Returns the tokenizer with tokens that a text encoder was taught.</summary>
    /// <param name="added">What stands for each in prompts, and the ids that it becomes, which lie after the encoder's own.</param>
    internal PromptTokenizer WithTokens(IReadOnlyList<(string Content, IReadOnlyList<int> Ids)> added) =>
        new(this, ModelMaxLength, added);

    /// <summary>Returns a value indicating whether a text is one of the tokens that the tokenizer has or was given.</summary>
    internal bool Knows(string text)
    {
        var end = model.Normalize(text).Length;
        return model.IdOf(text) is not null || model.IdOf(model.Normalize(text)) is not null
            || (Tokenize(text, CancellationToken.None).Tokens is [_, ..] found && found.TrueForAll(t => t.Start == 0 && t.End == end));
    }

    internal string Normalize(string text) => Tokenize(text, CancellationToken.None).Normalized;

    private TokenEncoding Assemble(string normalized, List<Token> tokens, int kept, int length)
    {
        int used = Prefix + kept + 1;
        var ids = new long[Math.Max(length, used)];
        var mask = new long[ids.Length];
        ids.AsSpan(used).Fill(PadTokenId);
        mask.AsSpan(0, used).Fill(1);

        if (BosTokenId is { } bos)
        {
            ids[0] = bos;
        }

        for (int i = 0; i < kept; i++)
        {
            ids[Prefix + i] = tokens[i].Id;
        }

        ids[used - 1] = EosTokenId;
        return new TokenEncoding(this, normalized, tokens, [.. Enumerable.Range(Prefix, kept)], ids, mask);
    }

    private (string Normalized, List<Token> Tokens) Tokenize(string text, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(text);
        var normalized = new StringBuilder(text.Length);
        var tokens = new List<Token>();
        foreach (var (raw, rawIds) in rawSpecials.Split(WellFormed(text)))
        {
            if (rawIds is { } special)
            {
                AddSpecial(raw, special);
                continue;
            }

            foreach (var (part, ids) in normalizedSpecials.Split(model.Normalize(raw)))
            {
                if (ids is { } normalizedSpecial)
                {
                    AddSpecial(part, normalizedSpecial);
                    continue;
                }

                model.Tokenize(part, normalized.Length, tokens, cancellationToken);
                normalized.Append(part);
            }
        }

        return (normalized.ToString(), tokens);

        void AddSpecial(string content, IReadOnlyList<int> ids)
        {
            tokens.AddRange(ids.Select(id => new Token(id, normalized.Length, normalized.Length + content.Length)));
            normalized.Append(content);
        }
    }

    /// <summary>Replaces lone surrogates, which no UTF-8 can carry, by U+FFFD.</summary>
    private static string WellFormed(string text) => Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text));
}
