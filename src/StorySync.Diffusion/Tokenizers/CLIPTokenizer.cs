using System.Text;
using Microsoft.ML.Tokenizers;

namespace StorySync.Diffusion.Tokenizers;

/// <summary>CLIP's byte-level BPE (transformers' <c>CLIPTokenizer</c>): lower case, words ended by <c>&lt;/w&gt;</c>.</summary>
internal sealed class CLIPTokenizer : ITokenizerModel
{
    private const string EndOfWord = "</w>";
    private const int CapitalIWithDot = 0x130;

    private readonly BpeTokenizer bpe;

    private readonly IReadOnlyDictionary<string, int> vocabulary;

    public CLIPTokenizer(IReadOnlyDictionary<string, int> vocabulary, IReadOnlyList<string> merges, string unknownToken)
    {
        this.vocabulary = vocabulary;
        bpe = BpeTokenizer.Create(new BpeOptions(vocabulary)
        {
            Merges = merges,
            EndOfWordSuffix = EndOfWord,
            ByteLevel = true,
            UnknownToken = unknownToken,
        });
    }

    public int VocabularySize => vocabulary.Count;

    public int? IdOf(string token) => vocabulary.TryGetValue(token, out int id) ? id : null;

    public string Normalize(string text)
    {
        var result = new StringBuilder(text.Length);
        foreach (var rune in Whitespace.Collapse(CanonicalComposition.Compose(text)).EnumerateRunes())
        {
            // The only character whose lower case, taken without regard to its neighbours, is two characters.
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

    public void Tokenize(string text, int offset, List<Token> tokens)
    {
        foreach (var (start, end) in ClipSplit.Words(text))
        {
            var word = text.AsSpan(start, end - start);
            var pieces = bpe.EncodeToTokens(word, out _, considerPreTokenization: false, considerNormalization: false);
            var bytes = new Utf8Positions(word);
            int from = 0;
            foreach (var piece in pieces)
            {
                int to = from + piece.Value.Length - (piece.Value.EndsWith(EndOfWord, StringComparison.Ordinal) ? EndOfWord.Length : 0);
                tokens.Add(new Token(piece.Id, offset + start + bytes.StartOf(from), offset + start + bytes.EndOf(to)));
                from = to;
            }
        }
    }
}
