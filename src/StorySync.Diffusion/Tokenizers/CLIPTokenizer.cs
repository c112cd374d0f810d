using System.Text;

namespace StorySync.Diffusion.Tokenizers;

/// <summary>CLIP's byte-level BPE (transformers' <c>CLIPTokenizer</c>): lower case, words ended by <c>&lt;/w&gt;</c>.</summary>
internal sealed class CLIPTokenizer : ITokenizerModel
{
    private const string EndOfWord = "</w>";
    private const int CapitalIWithDot = 0x130;

    private readonly BytePairEncoder encoder;
    private readonly IReadOnlyDictionary<string, int> vocabulary;

    public CLIPTokenizer(IReadOnlyDictionary<string, int> vocabulary, IReadOnlyList<string> merges, string unknownToken)
    {
        this.vocabulary = vocabulary;
        VocabularySize = vocabulary.Values.Max() + 1;
        encoder = new BytePairEncoder(vocabulary, merges, EndOfWord, vocabulary[unknownToken]);
    }

    public int VocabularySize { get; }

    public int? IdOf(string token) => vocabulary.TryGetValue(token, out int id) ? id : null;

    public string Normalize(string text)
    {
        var result = new StringBuilder(text.Length);
        foreach (var rune in Whitespace.Collapse(CanonicalComposition.Compose(text)).EnumerateRunes())
        {
            // The only character whose lower case, taken without regard to its neighbors, is two characters.
            if (rune.Value == CapitalIWithDot)
            {
                result.Append("i\u0307");
            }
            else
            {
                result.Append(Rune.ToLowerInvariant(rune));
            }
        }
        return result.ToString();
    }

    public void Tokenize(string text, int offset, List<Token> tokens, CancellationToken cancellationToken)
    {
        foreach (var (start, end) in ClipSplit.Words(text))
        {
            cancellationToken.ThrowIfCancellationRequested();
            var word = text[start..end];
            var bytes = new Utf8Positions(word);
            int from = 0;
            foreach (var (id, length) in encoder.Encode(Encoding.UTF8.GetBytes(word), cancellationToken))
            {
                tokens.Add(new Token(id, offset + start + bytes.StartOf(from), offset + start + bytes.EndOf(from + length)));
                from += length;
            }
        }
    }
}
