using System.Runtime.InteropServices;
using System.Text;

namespace StorySync.Diffusion.Tokenizers;

/// <summary>Byte-pair encoding of one word (Sennrich et al., arXiv 1508.07909), on bytes that are written as printable characters, the last
/// of them marked as the end of the word (CLIP).</summary>
/// <remarks><c>BpeTokenizer</c> of Microsoft.ML.Tokenizers takes half a second to build from CLIP's files, and the square of a word's
/// length to encode it. Here a word of n bytes takes n log n steps.</remarks>
internal sealed class BytePairs
{
    private const string EndOfWord = "</w>";
    private const int None = -1;

    private readonly Dictionary<long, (int Rank, int Id)> merges;
    private readonly int[] inside = new int[256];
    private readonly int[] last = new int[256];

    /// <param name="vocabulary">Ids by token.</param>
    /// <param name="merges">Pairs of tokens, "a b", the first to be merged first.</param>
    /// <param name="unknown">The id of a byte that the vocabulary lacks.</param>
    /// <exception cref="InvalidDataException">A merge is no pair of tokens of the vocabulary, or makes none.</exception>
    public BytePairs(Dictionary<string, int> vocabulary, IReadOnlyList<string> merges, int unknown)
    {
        for (var value = 0; value < inside.Length; value++)
        {
            var text = Printable(value).ToString();
            inside[value] = vocabulary.GetValueOrDefault(text, unknown);
            last[value] = vocabulary.GetValueOrDefault(text + EndOfWord, unknown);
        }

        this.merges = new Dictionary<long, (int, int)>(merges.Count);
        var ids = vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        Span<char> joined = stackalloc char[512];
        for (var rank = 0; rank < merges.Count; rank++)
        {
            var merge = merges[rank].AsSpan();
            var space = merge.IndexOf(' ');
            if (space < 0 || merge.Length > joined.Length || !ids.TryGetValue(merge[..space], out var left) || !ids.TryGetValue(merge[(space + 1)..], out var right))
            {
                throw new InvalidDataException($"merge {rank + 1} is \"{merge}\", where two tokens of the vocabulary were expected");
            }

            merge[..space].CopyTo(joined);
            merge[(space + 1)..].CopyTo(joined[space..]);
            this.merges[Pair(left, right)] = ids.TryGetValue(joined[..(merge.Length - 1)], out var id)
                ? (rank, id)
                : throw new InvalidDataException($"merge {rank + 1}, \"{merge}\", makes a token that the vocabulary lacks");
        }
    }

    /// <summary>The tokens of a word.</summary>
    /// <param name="word">A word that is not empty.</param>
    /// <returns>Ids, and how many bytes of the word's UTF-8 each stands for.</returns>
    public IEnumerable<(int Id, int Bytes)> Encode(ReadOnlySpan<char> word)
    {
        var symbols = Symbols(word);
        var queue = new PriorityQueue<(int Left, int Right, int Id), (int Rank, int At)>();
        for (var i = 0; i < symbols.Length - 1; i++)
        {
            Offer(symbols, queue, i);
        }

        var span = symbols.AsSpan();
        while (queue.TryDequeue(out var merge, out var order))
        {
            ref var left = ref span[order.At];
            if (left.Id != merge.Left || left.Next == None || span[left.Next].Id != merge.Right)
            {
                continue;
            }

            ref var right = ref span[left.Next];
            right.Id = None;
            (left.Id, left.Bytes, left.Next) = (merge.Id, left.Bytes + right.Bytes, right.Next);
            if (left.Next != None)
            {
                span[left.Next].Previous = order.At;
                Offer(symbols, queue, order.At);
            }

            if (left.Previous != None)
            {
                Offer(symbols, queue, left.Previous);
            }
        }

        return symbols.Where(symbol => symbol.Id != None).Select(symbol => (symbol.Id, symbol.Bytes));
    }

    private Symbol[] Symbols(ReadOnlySpan<char> word)
    {
        var bytes = new byte[Encoding.UTF8.GetByteCount(word)];
        Encoding.UTF8.GetBytes(word, bytes);
        var symbols = new Symbol[bytes.Length];
        for (var i = 0; i < bytes.Length; i++)
        {
            var isLast = i == bytes.Length - 1;
            symbols[i] = new Symbol { Id = (isLast ? last : inside)[bytes[i]], Bytes = 1, Previous = i - 1, Next = isLast ? None : i + 1 };
        }

        return symbols;
    }

    private void Offer(Symbol[] symbols, PriorityQueue<(int Left, int Right, int Id), (int Rank, int At)> queue, int at)
    {
        var (left, right) = (symbols[at].Id, symbols[symbols[at].Next].Id);
        if (merges.TryGetValue(Pair(left, right), out var merge))
        {
            queue.Enqueue((left, right, merge.Id), (merge.Rank, at));
        }
    }

    private static long Pair(int left, int right) => ((long)left << 32) | (uint)right;

    /// <summary>The character that stands for a byte (GPT-2's <c>bytes_to_unicode</c>): itself where it is printable in Latin-1, else the
    /// next of those from U+0100 on.</summary>
    private static char Printable(int value)
    {
        static bool Shows(int v) => v is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
        return Shows(value) ? (char)value : (char)(0x100 + Enumerable.Range(0, value).Count(v => !Shows(v)));
    }

    [StructLayout(LayoutKind.Auto)]
    private struct Symbol
    {
        /// <summary>The token; none once it is part of the one before.</summary>
        public int Id { get; set; }
        public int Bytes { get; set; }
        public int Previous { get; set; }
        public int Next { get; set; }
    }
}
