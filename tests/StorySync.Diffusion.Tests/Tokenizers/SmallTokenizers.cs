using System.Text.Json;
using StorySync.Diffusion.Tests.Weights;
using StorySync.Diffusion.Tokenizers;
using StorySync.TestSupport;

namespace StorySync.Diffusion.Tests.Tokenizers;

/// <summary>Tokenizers with a handful of words, for tests that need no reference.</summary>
internal static class SmallTokenizers
{
    /// <summary>The ids of CLIP's begin and end tokens here.</summary>
    public const int Begin = 520, End = 521;

    public static readonly string[] Merges = ["r e", "re d</w>", "f o", "fo x</w>", "t h", "th e</w>", "o w", "ow l</w>"];

    public static PromptTokenizer Clip { get; } = Load(folder => WriteClip(folder));

    public static PromptTokenizer T5 { get; } = Load(folder => WriteT5(folder));

    /// <summary>Writes vocab.json, merges.txt and tokenizer_config.json with a begin token 520 and an end token 521.</summary>
    public static void WriteClip(TemporaryFolder folder, string config = """{"tokenizer_class": "CLIPTokenizer", "model_max_length": 12}""")
    {
        folder.Write("vocab.json", JsonSerializer.Serialize(ClipVocabulary()));
        folder.Write("merges.txt", "#version: 0.2\n" + string.Join('\n', Merges) + "\n");
        folder.Write("tokenizer_config.json", config);
    }

    public static Dictionary<string, int> ClipVocabulary()
    {
        // CLIP's printable stand-ins for bytes.
        var printable = Enumerable.Range('!', '~' - '!' + 1).Concat(Enumerable.Range(0xA1, 12)).Concat(Enumerable.Range(0xAE, 82)).ToList();
        var letters = printable.Concat(Enumerable.Range(256, 256 - printable.Count)).Select(c => ((char)c).ToString()).ToList();
        string[] tokens =
            [.. letters, .. letters.Select(l => l + "</w>"),
            .. Merges.Select(m => m.Replace(" ", "")), "<|startoftext|>", "<|endoftext|>"];
        return tokens.Select((token, id) => (token, id)).ToDictionary(t => t.token, t => t.id);
    }

    /// <summary>Writes tokenizer.json and tokenizer_config.json.</summary>
    public static void WriteT5(TemporaryFolder folder, string config = """{"tokenizer_class": "T5Tokenizer", "model_max_length": 12}""")
    {
        object[] vocabulary =
        [
            Piece("<pad>", 0), Piece("</s>", 0), Piece("<unk>", 0),
            Piece("▁", -2), Piece("▁a", -3), Piece("▁red", -4), Piece("fox", -4.5), Piece("▁owl", -5), Piece("s", -3), Piece(",", -3),
            Piece("an", -5), Piece("na", -5), Piece("a", -6), Piece("n", -6),
            Piece("<extra_id_0>", 0),
        ];
        object[] added = [Added(0, "<pad>"), Added(1, "</s>"), Added(2, "<unk>"), Added(14, "<extra_id_0>")];
        var model = new { type = "Unigram", unk_id = 2, vocab = vocabulary };
        folder.Write("tokenizer.json", JsonSerializer.Serialize(new { added_tokens = added, normalizer = (object?)null, model }));
        folder.Write("tokenizer_config.json", config);

        static object[] Piece(string piece, double score) => [piece, score];
        static object Added(int id, string content) => new { id, content, normalized = false, special = true };
    }

    public static PromptTokenizer Load(Action<TemporaryFolder> write)
    {
        using var folder = new TemporaryFolder();
        write(folder);
        return PromptTokenizer.Load(folder.Path);
    }
}
