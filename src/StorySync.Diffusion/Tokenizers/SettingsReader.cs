using System.Text.Json;

namespace StorySync.Diffusion.Tokenizers;

/// <summary>
/// Merges what a tokenizer's folder says about special tokens. As in transformers, <c>special_tokens_map.json</c> overrules
/// <c>tokenizer_config.json</c> unless the latter has a table <c>added_tokens_decoder</c>, and a table (that one, or the one in
/// <c>tokenizer.json</c>) overrules how a token is matched.
/// </summary>
internal sealed class SettingsReader
{
    private readonly JsonElement? _config;
    private readonly JsonElement? _specialTokensMap;
    private readonly List<(SpecialToken Token, int? Id)> _table = [];

    public SettingsReader(JsonElement? config, JsonElement? specialTokensMap, JsonElement? tokenizerJson)
    {
        _config = config;
        if (config.Member("added_tokens_decoder") is { } decoder)
        {
            foreach (var entry in decoder.EnumerateObject())
                _table.Add((Token(entry.Value), int.Parse(entry.Name, System.Globalization.CultureInfo.InvariantCulture)));
            return;
        }
        _specialTokensMap = specialTokensMap;
        if (tokenizerJson.Member("added_tokens") is { } added)
        {
            foreach (var entry in added.EnumerateArray())
                _table.Add((Token(entry), entry.GetProperty("id").GetInt32()));
        }
    }

    /// <summary>The number of T5's sentinel tokens, which its <c>spiece.model</c> leaves out.</summary>
    public int ExtraIds(int byDefault) => _config.Member("extra_ids")?.GetInt32() ?? byDefault;

    public string UnkToken(string byDefault) => Role("unk_token", byDefault).Content;

    public TokenizerSettings Read(string? bos, string eos, string unk, string pad, IEnumerable<string> alsoSpecial) => new()
    {
        BosToken = bos is null ? null : Role("bos_token", bos),
        EosToken = Role("eos_token", eos),
        UnkToken = Role("unk_token", unk),
        PadToken = Role("pad_token", pad),
        Added = [.. _table, .. alsoSpecial.Select(content => new SpecialToken(content, Normalized: false)).Concat(Extras()).Where(NotInTable).Select(t => (t, (int?)null))],
        ModelMaxLength = _config.Member("model_max_length") is { } length ? (int)Math.Min(length.GetDouble(), int.MaxValue) : int.MaxValue,
    };

    private SpecialToken Role(string name, string byDefault)
    {
        var token = (_specialTokensMap.Member(name) ?? _config.Member(name)) is { } value ? Token(value) : new SpecialToken(byDefault, Normalized: false);
        int row = _table.FindIndex(t => t.Token.Content == token.Content);
        return row < 0 ? token : _table[row].Token;
    }

    private IEnumerable<SpecialToken> Extras()
    {
        foreach (string name in new[] { "additional_special_tokens", "extra_special_tokens" })
        {
            if ((_specialTokensMap.Member(name) ?? _config.Member(name)) is { ValueKind: JsonValueKind.Array } list)
            {
                foreach (var entry in list.EnumerateArray())
                    yield return Token(entry);
            }
        }
    }

    private bool NotInTable(SpecialToken token) => !_table.Exists(t => t.Token.Content == token.Content);

    private static SpecialToken Token(JsonElement value) => value.ValueKind == JsonValueKind.String
        ? new SpecialToken(value.GetString()!, Normalized: false)
        : new SpecialToken(value.GetProperty("content").GetString()!, Normalized: ((JsonElement?)value).Member("normalized")?.GetBoolean() ?? false);
}
