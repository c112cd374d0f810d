namespace StorySync.Diffusion.Tokenizers;

/// <summary>T5's SentencePiece unigram tokenizer (transformers' <c>T5Tokenizer</c>): no begin token, words start with U+2581.</summary>
internal sealed class T5Tokenizer : ITokenizerModel
{
    private const char WordStart = '\u2581';

    private readonly UnigramModel unigram;
    private readonly PrecompiledCharsMap? charsMap;

    /// <param name="pieces">The vocabulary in the order of ids, with log probabilities.</param>
    /// <param name="unknownId">The id of the unknown piece.</param>
    /// <param name="charsMap">The model's normalization map, empty for none.</param>
    public T5Tokenizer(IReadOnlyList<(string Piece, double Score)> pieces, int unknownId, ReadOnlySpan<byte> charsMap)
    {
        unigram = new UnigramModel(pieces, unknownId);
        this.charsMap = charsMap.IsEmpty ? null : new PrecompiledCharsMap(charsMap);
        VocabularySize = pieces.Count;
    }

    public int VocabularySize { get; }

    public int? IdOf(string token) => unigram.IdOf(token);

    public string Normalize(string text) => Whitespace.Collapse(charsMap?.Normalize(text) ?? text);

    public void Tokenize(string text, int offset, List<Token> tokens, CancellationToken cancellationToken)
    {
        int start = 0;
        while (start < text.Length)
        {
            if (text[start] == ' ')
            {
                start++;
                continue;
            }
            // A word ends at a space, or where a word start is written in the text itself.
            int length = text.AsSpan(start + 1).IndexOfAny(' ', WordStart) + 1;
            int end = length == 0 ? text.Length : start + length;
            TokenizeWord(text.AsSpan(start, end - start), offset + start, tokens, cancellationToken);
            start = end;
        }
    }

    private void TokenizeWord(ReadOnlySpan<char> word, int offset, List<Token> tokens, CancellationToken cancellationToken)
    {
        if (word[0] == WordStart)
        {
            tokens.AddRange(unigram.Encode(word, cancellationToken).Select(t => new Token(t.Id, offset + t.Start, offset + t.End)));
            return;
        }
        // The word start that is put in front has no place in the text.
        var marked = unigram.Encode(string.Concat([WordStart], word), cancellationToken);
        tokens.AddRange(marked.Select(t => new Token(t.Id, offset + Math.Max(t.Start - 1, 0), offset + t.End - 1)));
    }
}
