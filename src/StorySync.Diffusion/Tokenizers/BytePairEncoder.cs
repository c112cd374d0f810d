namespace StorySync.Diffusion.Tokenizers;

/// <summary>Byte-level byte pair encoding (Sennrich et al., arXiv 1508.07909; the bytes' letters are GPT-2's), in n log n steps for a word
/// of n bytes: the pair of lowest rank is merged first, and of several the leftmost, as in Hugging Face's tokenizers.</summary>
/// <remarks><c>BpeTokenizer</c> of Microsoft.ML.Tokenizers gives the same ids, but takes n² steps: a minute for a word of a million
/// letters.</remarks>
internal sealed class BytePairEncoder
{
    private const int CancellationInterval = 1 << 14;

    private readonly Dictionary<(int Left, int Right), (int Rank, int Id)> merges;
    private readonly int[] inside = new int[256];
    private readonly int[] atEnd = new int[256];

    /// <param name="vocabulary">Ids by token.</param>
    /// <param name="merges">The pairs, "left right", by rank.</param>
    /// <param name="endOfWord">What follows the last letter of a word.</param>
    /// <param name="unknownId">The id of a letter that the vocabulary lacks.</param>
    /// <exception cref="InvalidDataException">A merge is not a pair, or of tokens that the vocabulary lacks.</exception>
    public BytePairEncoder(IReadOnlyDictionary<string, int> vocabulary, IReadOnlyList<string> merges, string endOfWord, int unknownId)
    {
        this.merges = new(merges.Count);
        foreach (var (rank, merge) in merges.Index())
        {
            if (merge.Split(' ') is not [{ Length: > 0 } left, { Length: > 0 } right])
            {
                throw new InvalidDataException($"merge {rank + 1} is \"{merge}\"; it must be two tokens with a space between them");
            }

            this.merges[(Id(left), Id(right))] = (rank, Id(left + right));

            int Id(string token) => vocabulary.TryGetValue(token, out var id) ? id
                : throw new InvalidDataException($"merge {rank + 1} is \"{merge}\", but the vocabulary lacks \"{token}\"");
        }

        foreach (var (value, letter) in Letters().Index())
        {
            inside[value] = vocabulary.GetValueOrDefault(letter, unknownId);
            atEnd[value] = vocabulary.GetValueOrDefault(letter + endOfWord, unknownId);
        }
    }

    /// <summary>Encodes a word.</summary>
    /// <param name="word">Its bytes, at least one.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    /// <returns>The ids, each with the number of bytes that it covers.</returns>
    public IEnumerable<(int Id, int Length)> Encode(ReadOnlySpan<byte> word, CancellationToken cancellationToken)
    {
        var symbols = new Symbol[word.Length];
        var queue = new PriorityQueue<(int At, int Id), (int Rank, int At)>();
        for (var i = 0; i < symbols.Length; i++)
        {
            var isLast = i == symbols.Length - 1;
            symbols[i] = new Symbol((isLast ? atEnd : inside)[word[i]], i - 1, isLast ? -1 : i + 1, Length: 1);
        }

        for (var i = 0; i < symbols.Length - 1; i++)
        {
            Offer(i);
        }

        for (var steps = 0; queue.TryDequeue(out var merge, out _); steps++)
        {
            if (steps % CancellationInterval == 0)
            {
                cancellationToken.ThrowIfCancellationRequested();
            }

            // The pair may have changed since it was queued.
            ref var left = ref symbols[merge.At];
            if (left.Length == 0 || left.Next < 0
                || !merges.TryGetValue((left.Id, symbols[left.Next].Id), out var found) || found.Id != merge.Id)
            {
                continue;
            }

            ref var right = ref symbols[left.Next];
            left = new Symbol(merge.Id, left.Previous, right.Next, left.Length + right.Length);
            right = right with { Length = 0 };
            if (left.Next >= 0)
            {
                symbols[left.Next] = symbols[left.Next] with { Previous = merge.At };
                Offer(merge.At);
            }

            if (left.Previous >= 0)
            {
                Offer(left.Previous);
            }
        }

        return symbols.Where(symbol => symbol.Length > 0).Select(symbol => (symbol.Id, symbol.Length));

        void Offer(int at)
        {
            if (merges.TryGetValue((symbols[at].Id, symbols[symbols[at].Next].Id), out var merge))
            {
                queue.Enqueue((at, merge.Id), (merge.Rank, at));
            }
        }
    }

    /// <summary>Returns the ids that CLIP's vocabulary gives to the tokens of its merges: the letters, the letters that end a word, what
    /// the merges make, and the two tokens that begin and end a text.</summary>
    /// <param name="merges">The lines of a <c>merges.txt</c>.</param>
    public static Dictionary<string, int> ClipVocabulary(string merges)
    {
        const string EndOfWord = "</w>";

        // Printable letters come first, those that stand for other bytes after them.
        string[] letters = [.. Letters().Where(letter => letter[0] < 256), .. Letters().Where(letter => letter[0] >= 256)];
        var tokens = letters.Concat(letters.Select(letter => letter + EndOfWord))
            .Concat(merges.Split('\n').Where(line => line.Length > 0 && !line.StartsWith("#version", StringComparison.Ordinal))
                .Select(line => line.Replace(" ", "", StringComparison.Ordinal)))
            .Append("<|startoftext|>").Append("<|endoftext|>");
        return tokens.Index().ToDictionary(token => token.Item, token => token.Index, StringComparer.Ordinal);
    }

    /// <summary>The letter that stands for each byte: printable ones for themselves, the others moved past Latin-1.</summary>
    private static IEnumerable<string> Letters()
    {
        var moved = 256;
        for (var value = 0; value < 256; value++)
        {
            var isPrintable = value is >= '!' and <= '~' or >= 0xA1 and <= 0xAC or >= 0xAE and <= 0xFF;
            yield return ((char)(isPrintable ? value : moved++)).ToString();
        }
    }

    /// <summary>A part of the word, linked to its neighbors; of no length once it has been merged into the part before it.</summary>
    private readonly record struct Symbol(int Id, int Previous, int Next, int Length);
}
