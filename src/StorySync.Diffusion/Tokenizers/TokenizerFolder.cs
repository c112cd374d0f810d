using System.Text;
using System.Text.Json;
using StorySync.Diffusion.Weights;

namespace StorySync.Diffusion.Tokenizers;

/// <summary>Reads a tokenizer's folder as transformers writes and finds it: <c>tokenizer.json</c> goes before the older files.</summary>
internal sealed class TokenizerFolder
{
    private const string ConfigFile = "tokenizer_config.json", SpecialTokensFile = "special_tokens_map.json",
        AddedTokensFile = "added_tokens.json";
    private const string TokenizerFile = "tokenizer.json";
    private const string VocabularyFile = "vocab.json", MergesFile = "merges.txt", SentencePieceFile = "spiece.model";
    private const string ClipBegin = "<|startoftext|>", ClipEnd = "<|endoftext|>";
    private const string T5End = "</s>", T5Unknown = "<unk>", T5Pad = "<pad>";
    private const int DefaultExtraIds = 100;

    private readonly IModelContents files;
    private readonly string component;
    private readonly JsonElement? config;
    private readonly JsonElement? tokenizer;
    private readonly SettingsReader settings;

    private TokenizerFolder(IModelContents files, string component)
    {
        (this.files, this.component) = (files, component);
        config = ReadJson(ConfigFile);
        tokenizer = ReadJson(TokenizerFile);
        var specialTokens = ReadJson(SpecialTokensFile);
        var addedTokens = ReadJson(AddedTokensFile);
        settings = Guard("", () => new SettingsReader(config, specialTokens, tokenizer, addedTokens));
    }

    public static PromptTokenizer Load(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        return Directory.Exists(folder) ? Load(new FolderContents(folder), "")
            : throw new ModelFileException(folder, "there is no such folder");
    }

    /// <param name="files">The model's files.</param>
    /// <param name="component">The tokenizer's name among them.</param>
    public static PromptTokenizer Load(IModelContents files, string component)
    {
        var folder = new TokenizerFolder(files, component);
        return folder.IsClip() ? folder.LoadClip() : folder.LoadT5();
    }

    private bool IsClip()
    {
        var named = config.Member("tokenizer_class");
        if (named is { ValueKind: not (JsonValueKind.String or JsonValueKind.Null) })
        {
            throw Damaged(ConfigFile, "its tokenizer_class is not a string, where CLIPTokenizer or T5Tokenizer was expected");
        }

        string className = Guard(ConfigFile, () => named?.GetString()) ?? "";
        if (className.StartsWith("CLIP", StringComparison.Ordinal))
        {
            return true;
        }

        if (className.StartsWith("T5", StringComparison.Ordinal))
        {
            return false;
        }

        // Without a class, or with the one that stands for any, the vocabulary tells.
        if (className is not ("" or "PreTrainedTokenizerFast" or "TokenizersBackend"))
        {
            throw Damaged(ConfigFile, $"its tokenizer_class is \"{className}\", where CLIPTokenizer or T5Tokenizer was expected");
        }

        if (ModelType() is { } type)
        {
            return type == "BPE";
        }

        if (files.Has(component, VocabularyFile))
        {
            return true;
        }

        if (files.Has(component, SentencePieceFile))
        {
            return false;
        }

        throw new ModelFileException(PathOf(""), "no tokenizer's vocabulary is there; "
            + $"expected {TokenizerFile}, {VocabularyFile} with {MergesFile}, or {SentencePieceFile}");
    }

    private PromptTokenizer LoadClip()
    {
        Dictionary<string, int> vocabulary;
        List<string> merges;
        if (tokenizer is not null)
        {
            CheckModelType("BPE");
            vocabulary = Guard(TokenizerFile, () => ReadVocabulary(Model("vocab")));
            merges = Guard(TokenizerFile, () => ReadMerges(Model("merges")));
        }
        else
        {
            vocabulary = Guard(VocabularyFile, () => JsonFile.Read(Existing(VocabularyFile), ReadVocabulary));
            merges = [.. Lines(Existing(MergesFile)).Where(IsMerge)];
        }

        string unknown = Guard("", () => settings.UnkToken(ClipEnd));
        if (!vocabulary.ContainsKey(unknown))
        {
            throw Damaged(tokenizer is null ? VocabularyFile : TokenizerFile, $"it lacks the unk_token \"{unknown}\"");
        }

        return Guard("", () => new PromptTokenizer(
            new CLIPTokenizer(vocabulary, merges, unknown),
            settings.Read(ClipBegin, ClipEnd, ClipEnd, ClipEnd, alsoSpecial: [])));
    }

    private PromptTokenizer LoadT5()
    {
        List<(string Piece, double Score)> pieces;
        byte[] charsMap;
        List<string> special = [];
        if (tokenizer is not null)
        {
            CheckModelType("Unigram");
            pieces = Guard(TokenizerFile, () => ReadPieces(Model("vocab")));
            charsMap = Guard(TokenizerFile, () => FindCharsMap(tokenizer.Member("normalizer")));
        }
        else
        {
            var model = Guard(SentencePieceFile, () => SentencePieceModel.Parse(Existing(SentencePieceFile).Bytes));
            (pieces, charsMap, special) = (model.Pieces, model.PrecompiledCharsMap, model.SpecialPieces);
            int extraIds = Guard(ConfigFile, () => settings.ExtraIds(DefaultExtraIds));
            for (int i = extraIds - 1; i >= 0; i--)
            {
                pieces.Add(($"<extra_id_{i}>", 0));
                special.Add($"<extra_id_{i}>");
            }
        }

        string unknown = Guard("", () => settings.UnkToken(T5Unknown));
        int unknownId = pieces.FindIndex(p => p.Piece == unknown);
        if (unknownId < 0)
        {
            throw Damaged(tokenizer is null ? SentencePieceFile : TokenizerFile, $"it lacks the unk_token \"{unknown}\"");
        }

        return Guard("", () => new PromptTokenizer(
            new T5Tokenizer(pieces, unknownId, charsMap),
            settings.Read(bos: null, T5End, T5Unknown, T5Pad, special)));
    }

    private string? ModelType() => Guard(TokenizerFile, () => tokenizer.Member("model").Member("type")?.GetString());

    private void CheckModelType(string expected)
    {
        if (ModelType() is { } type && type != expected)
        {
            throw Damaged(TokenizerFile, $"its model is of type \"{type}\", where \"{expected}\" was expected");
        }
    }

    private JsonElement Model(string member) =>
        tokenizer.Member("model").Member(member) ?? throw new InvalidDataException($"it lacks model.{member}");

    private static Dictionary<string, int> ReadVocabulary(JsonElement json)
    {
        var vocabulary = new Dictionary<string, int>();
        foreach (var entry in json.EnumerateObject())
        {
            vocabulary[entry.Name] = SettingsReader.Id($"\"{entry.Name}\"", entry.Value);
        }

        return vocabulary;
    }

    private static bool IsMerge(string line) => line.Length > 0 && !line.StartsWith("#version", StringComparison.Ordinal);

    /// <summary>Merges are "a b", or ["a", "b"] in newer files.</summary>
    private static List<string> ReadMerges(JsonElement json) => [.. json.EnumerateArray().Select((merge, i) => merge switch
    {
        { ValueKind: JsonValueKind.String } => merge.GetString()!,
        { ValueKind: JsonValueKind.Array } when merge.GetArrayLength() == 2 && IsText(merge[0]) && IsText(merge[1]) =>
            $"{merge[0].GetString()} {merge[1].GetString()}",
        _ => throw new InvalidDataException($"its merge {i + 1} is not a pair of tokens"),
    })];

    private static List<(string Piece, double Score)> ReadPieces(JsonElement json) =>
        [.. json.EnumerateArray().Select((piece, i) => piece.ValueKind == JsonValueKind.Array && piece.GetArrayLength() == 2
            && IsText(piece[0]) && piece[1].ValueKind == JsonValueKind.Number
                ? (piece[0].GetString()!, piece[1].GetDouble())
                : throw new InvalidDataException($"its piece {i} is not a pair of a text and a score"))];

    private static bool IsText(JsonElement value) => value.ValueKind == JsonValueKind.String;

    private static byte[] FindCharsMap(JsonElement? normalizer)
    {
        if (normalizer.Member("type")?.GetString() == "Precompiled")
        {
            return normalizer.Member("precompiled_charsmap")?.GetBytesFromBase64() ?? [];
        }

        return normalizer.Member("normalizers") is { } sequence
            ? sequence.EnumerateArray().Select(step => FindCharsMap(step)).FirstOrDefault(map => map.Length > 0, [])
            : [];
    }

    private JsonElement? ReadJson(string name) =>
        files.TryRead(component, name) is { } file ? JsonFile.Read(file, root => root.Clone()) : null;

    private static IEnumerable<string> Lines(FileContent file)
    {
        using var reader = new StreamReader(new MemoryStream(file.Bytes));
        while (reader.ReadLine() is { } line)
        {
            yield return line;
        }
    }

    private FileContent Existing(string name) => files.TryRead(component, name)
        ?? throw new ModelFileException(PathOf(name), "there is no such file; download the folder again, with all its files");

    private string PathOf(string name) => files.PathOf(component, name);

    private ModelFileException Damaged(string name, string problem, Exception? cause = null) =>
        new(PathOf(name), $"{problem}; download the folder again", cause);

    /// <summary>Runs <paramref name="read"/> and turns what a damaged file causes into one kind of exception.</summary>
    private T Guard<T>(string name, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is InvalidOperationException or KeyNotFoundException or FormatException or ArgumentException
            or IndexOutOfRangeException or OverflowException or InvalidDataException)
        {
            throw Damaged(name, char.ToLowerInvariant(e.Message[0]) + e.Message[1..].TrimEnd('.'), e);
        }
    }
}
