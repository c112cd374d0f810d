using System.Globalization;
using System.Text.Json;

namespace StorySync.Diffusion.Tokenizers;

/// <summary>
/// Merges what a tokenizer's folder says about special tokens. As in transformers, <c>special_tokens_map.json</c> overrules
/// <c>tokenizer_config.json</c> unless the latter has a table <c>added_tokens_decoder</c>, and a table (that one, or the one in
/// <c>tokenizer.json</c>) overrules how a token is matched.
/// </summary>
internal sealed class SettingsReader
{
    private readonly JsonElement? config;
    private readonly JsonElement? specialTokensMap;
    private readonly List<(SpecialToken Token, int? Id)> table = [];

    public SettingsReader(JsonElement? config, JsonElement? specialTokensMap, JsonElement? tokenizerJson)
    {
        this.config = config;
        if (config.Member("added_tokens_decoder") is { } decoder)
        {
            foreach (var entry in decoder.EnumerateObject())
            {
                table.Add((Token(entry.Value), int.Parse(entry.Name, CultureInfo.InvariantCulture)));
            }

            return;
        }

        this.specialTokensMap = specialTokensMap;
        if (tokenizerJson.Member("added_tokens") is { } added)
        {
            foreach (var entry in added.EnumerateArray())
            {
                table.Add((Token(entry), entry.GetProperty("id").GetInt32()));
            }
        }
    }

    /// <summary>The number of T5's sentinel tokens, which its <c>spiece.model</c> leaves out.</summary>
    public int ExtraIds(int byDefault) => (int)(Number("extra_ids") ?? byDefault);

    public string UnkToken(string byDefault) => Role("unk_token", byDefault).Content;

    public TokenizerSettings Read(string? bos, string eos, string unk, string pad, IEnumerable<string> alsoSpecial) => new()
    {
        BosToken = bos is null ? null : Role("bos_token", bos),
        EosToken = Role("eos_token", eos),
        UnkToken = Role("unk_token", unk),
        PadToken = Role("pad_token", pad),
        Added = [.. table, .. alsoSpecial.Select(Plain).Concat(Extras()).Where(NotInTable).Select(token => (token, (int?)null))],
        ModelMaxLength = (int)Math.Min(Number("model_max_length") ?? int.MaxValue, int.MaxValue),
    };

    private SpecialToken Role(string name, string byDefault)
    {
        var token = Setting(name) is { } value ? Token(value) : Plain(byDefault);
        int row = table.FindIndex(t => t.Token.Content == token.Content);
        return row < 0 ? token : table[row].Token;
    }

    private IEnumerable<SpecialToken> Extras()
    {
        foreach (string name in new[] { "additional_special_tokens", "extra_special_tokens" })
        {
            if (Setting(name) is { ValueKind: JsonValueKind.Array } list)
            {
                foreach (var entry in list.EnumerateArray())
                {
                    yield return Token(entry);
                }
            }
        }
    }

    private bool NotInTable(SpecialToken token) => !table.Exists(t => t.Token.Content == token.Content);

    private JsonElement? Setting(string name) => specialTokensMap.Member(name) ?? config.Member(name);

    private double? Number(string name) => config.Member(name) is not { } value ? null
        : value.ValueKind == JsonValueKind.Number ? value.GetDouble()
        : throw new InvalidDataException($"{name} is {value.GetRawText()}, where a number was expected");

    private static SpecialToken Plain(string content) => new(content, Normalized: false);

    private static SpecialToken Token(JsonElement? value)
    {
        var content = value is { ValueKind: JsonValueKind.String } ? value : value.Member("content");
        return content?.ValueKind == JsonValueKind.String
            ? new SpecialToken(content.Value.GetString()!, value.Member("normalized")?.GetBoolean() ?? false)
            : throw new InvalidDataException($"a special token is {value}, where text or an object with \"content\" was expected");
    }
}
