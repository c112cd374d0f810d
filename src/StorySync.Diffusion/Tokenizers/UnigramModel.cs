namespace StorySync.Diffusion.Tokenizers;

/// <summary>
/// SentencePiece's unigram model (Kudo, "Subword Regularization", 2018): the segmentation of a word with the highest sum of scores.
/// </summary>
/// <remarks>
/// <c>SentencePieceTokenizer</c> of Microsoft.ML.Tokenizers does not serve here: it refuses T5's model (which has no begin-of-sentence
/// piece), reads no <c>tokenizer.json</c>, and adds scores in float32, where the reference adds in float64.
/// </remarks>
internal sealed class UnigramModel
{
    private const double UnknownPenalty = 10;
    private const int CancellationInterval = 1 << 12;

    private readonly Dictionary<string, int> ids;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> idsBySpan;
    private readonly double[] scores;
    private readonly int unknownId;
    private readonly double unknownScore;
    private readonly int longest;

    /// <param name="pieces">The pieces in the order of their ids.</param>
    /// <param name="unknownId">The id of the unknown piece.</param>
    /// <exception cref="InvalidDataException">A score is not a finite number.</exception>
    public UnigramModel(IReadOnlyList<(string Piece, double Score)> pieces, int unknownId)
    {
        ids = new Dictionary<string, int>(pieces.Count);
        scores = new double[pieces.Count];
        for (int id = 0; id < pieces.Count; id++)
        {
            ids[pieces[id].Piece] = id;
            scores[id] = double.IsFinite(pieces[id].Score) ? pieces[id].Score : throw new InvalidDataException(
                $"the piece \"{pieces[id].Piece}\" has the score {pieces[id].Score}; it must be a finite number");
            longest = Math.Max(longest, pieces[id].Piece.Length);
        }
        idsBySpan = ids.GetAlternateLookup<ReadOnlySpan<char>>();
        this.unknownId = unknownId;
        unknownScore = scores.Min() - UnknownPenalty;
    }

    /// <summary>Returns the piece's id, or null.</summary>
    public int? IdOf(string piece) => ids.TryGetValue(piece, out int id) ? id : null;

    /// <summary>Returns the tokens of <paramref name="word"/> (well-formed UTF-16); adjacent unknown characters are one token.</summary>
    public List<Token> Encode(ReadOnlySpan<char> word, CancellationToken cancellationToken = default)
    {
        // best[i]: the best segmentation of the first i characters; Start is where its last piece begins.
        var best = new (double Score, int Start, int Id)[word.Length + 1];
        best.AsSpan(1).Fill((0, -1, 0));

        int runeLength;
        for (int start = 0; start < word.Length; start += runeLength)
        {
            if (start % CancellationInterval == 0)
            {
                cancellationToken.ThrowIfCancellationRequested();
            }

            runeLength = char.IsHighSurrogate(word[start]) ? 2 : 1;
            bool runeIsPiece = false;
            for (int length = 1; length <= Math.Min(longest, word.Length - start); length++)
            {
                if (!idsBySpan.TryGetValue(word.Slice(start, length), out int id))
                {
                    continue;
                }

                Offer(start, length, id, scores[id]);
                runeIsPiece |= length == runeLength;
            }
            if (!runeIsPiece)
            {
                Offer(start, runeLength, unknownId, unknownScore);
            }
        }
        return Backtrack(word, best);

        void Offer(int start, int length, int id, double score)
        {
            score += best[start].Score;
            ref var end = ref best[start + length];
            if (end.Start < 0 || score > end.Score)
            {
                end = (score, start, id);
            }
        }
    }

    private List<Token> Backtrack(ReadOnlySpan<char> word, (double Score, int Start, int Id)[] best)
    {
        var tokens = new List<Token>();
        int end = word.Length;
        while (end > 0)
        {
            var (_, start, id) = best[end];
            while (id == unknownId && start > 0 && best[start].Id == unknownId)
            {
                start = best[start].Start;
            }

            if (id == unknownId && idsBySpan.TryGetValue(word[start..end], out int whole))
            {
                id = whole;
            }

            tokens.Add(new Token(id, start, end));
            end = start;
        }
        tokens.Reverse();
        return tokens;
    }
}
