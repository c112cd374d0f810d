using System.Globalization;
using System.Text.Json;

namespace StorySync.Diffusion.Tokenizers;

/// <summary>
/// Merges what a tokenizer's folder says about special tokens. As in transformers, <c>special_tokens_map.json</c> overrules
/// <c>tokenizer_config.json</c> unless the latter has a table <c>added_tokens_decoder</c>, and a table (that one, or those in
/// <c>added_tokens.json</c> and <c>tokenizer.json</c>) overrules how a token is matched.
/// </summary>
internal sealed class SettingsReader
{
    // T5 has 100. The bound keeps a damaged entry from filling the memory.
    private const int MaximumExtraIds = 100_000;

    // As many rows as a text encoder's table may have.
    private const int MaximumId = (1 << 24) - 1;

    private readonly JsonElement? config;
    private readonly JsonElement? specialTokensMap;
    private readonly List<(SpecialToken Token, int? Id)> table = [];

    private static readonly string[] Roles =
        ["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"];

    public SettingsReader(JsonElement? config, JsonElement? specialTokensMap, JsonElement? tokenizerJson, JsonElement? addedTokens)
    {
        this.config = config;
        if (config.Member("added_tokens_decoder") is { } decoder)
        {
            foreach (var entry in decoder.ValueKind == JsonValueKind.Object ? decoder.EnumerateObject()
                : throw new InvalidDataException(
                    $"'added_tokens_decoder' of tokenizer_config.json is {Brief(decoder.GetRawText())}; it must be an object of tokens "
                    + "by their ids"))
            {
                table.Add((
                    Token(entry.Value, $"'{entry.Name}' of added_tokens_decoder"),
                    int.TryParse(entry.Name, NumberStyles.None, CultureInfo.InvariantCulture, out var id) && id <= MaximumId ? id
                        : throw WrongId("an added token", entry.Name)));
            }

            return;
        }

        this.specialTokensMap = specialTokensMap;
        if (addedTokens is { } file)
        {
            // The file says ids and nothing else: what has a role is matched as it stands, the rest in the normalized text.
            var special = SpecialContents();
            foreach (var entry in file.EnumerateObject())
            {
                table.Add((new SpecialToken(entry.Name, !special.Contains(entry.Name)), Id($"\"{entry.Name}\"", entry.Value)));
            }
        }

        if (tokenizerJson.Member("added_tokens") is { } added)
        {
            foreach (var entry in added.ValueKind == JsonValueKind.Array ? added.EnumerateArray()
                : throw new InvalidDataException(
                    $"'added_tokens' of tokenizer.json is {Brief(added.GetRawText())}; it must be a list of tokens"))
            {
                table.Add((Token(entry, "an added token"), Id("an added token", entry.GetProperty("id"))));
            }
        }
    }

    /// <summary>Returns the number of T5's sentinel tokens, which its <c>spiece.model</c> leaves out.</summary>
    public int ExtraIds(int byDefault) => Number("extra_ids") is not { } number ? byDefault
        : number is >= 0 and <= MaximumExtraIds && number == Math.Floor(number) ? (int)number
        : throw new InvalidDataException($"extra_ids is {number}; it must be a whole number from 0 to {MaximumExtraIds}");

    public string UnkToken(string byDefault) => Role("unk_token", byDefault).Content;

    public TokenizerSettings Read(string? bos, string eos, string unk, string pad, IEnumerable<string> alsoSpecial) => new()
    {
        BosToken = bos is null ? null : Role("bos_token", bos),
        EosToken = Role("eos_token", eos),
        UnkToken = Role("unk_token", unk),
        PadToken = Role("pad_token", pad),
        Added = [.. table, .. alsoSpecial.Select(Plain).Concat(Extras()).Where(NotInTable).Select(token => (token, (int?)null))],
        ModelMaxLength = MaxLength(),
    };

    /// <summary>transformers writes 10³⁰ where it knows no length.</summary>
    private int MaxLength() => Number("model_max_length") is not { } number ? int.MaxValue
        : number >= 1 ? (int)Math.Min(number, int.MaxValue)
        : throw new InvalidDataException($"model_max_length is {number}; it must be at least 1");

    /// <summary>The texts of the tokens that have a role or are listed as special.</summary>
    private HashSet<string> SpecialContents() =>
        [.. Roles.Where(role => Setting(role) is not null).Select(role => Token(Setting(role), Named(role)).Content),
        .. Listed(config.Member("additional_special_tokens"), "additional_special_tokens")
            .Concat(Listed(Setting("extra_special_tokens"), "extra_special_tokens")).Select(token => token.Content)];

    /// <summary>Returns an id as a file has it.</summary>
    /// <param name="what">What has it, for the message.</param>
    /// <param name="value">The value.</param>
    /// <exception cref="InvalidDataException">It is none.</exception>
    public static int Id(string what, JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var id) && id is >= 0 and <= MaximumId
            ? id : throw WrongId(what, value.GetRawText());

    private static string Brief(string text) => text.Length <= 40 ? text : $"{text[..40]}…";

    private static InvalidDataException WrongId(string what, string found) =>
        new($"{what} has the id {Brief(found)}; it must be a whole number from 0 to {MaximumId}");

    private SpecialToken Role(string name, string byDefault)
    {
        var token = Setting(name) is { } value ? Token(value, Named(name)) : Plain(byDefault);
        int row = table.FindIndex(t => t.Token.Content == token.Content);
        return row < 0 ? token : table[row].Token;
    }

    private IEnumerable<SpecialToken> Extras() =>
        Listed(Setting("additional_special_tokens"), "additional_special_tokens")
            .Concat(Listed(Setting("extra_special_tokens"), "extra_special_tokens"));

    private static IEnumerable<SpecialToken> Listed(JsonElement? list, string name) => list is { ValueKind: JsonValueKind.Array }
        ? list.Value.EnumerateArray().Select(entry => Token(entry, $"an entry of '{name}'")) : [];

    private bool NotInTable(SpecialToken token) => !table.Exists(t => t.Token.Content == token.Content);

    private JsonElement? Setting(string name) => specialTokensMap.Member(name) ?? config.Member(name);

    private double? Number(string name) => config.Member(name) is not { } value ? null
        : value.ValueKind == JsonValueKind.Number ? value.GetDouble()
        : throw new InvalidDataException($"{name} is {value.GetRawText()}, where a number was expected");

    private static SpecialToken Plain(string content) => new(content, Normalized: false);

    /// <summary>A setting with the file that has it, for messages.</summary>
    private string Named(string name) =>
        $"'{name}' of {(specialTokensMap.Member(name) is null ? "tokenizer_config.json" : "special_tokens_map.json")}";

    private static SpecialToken Token(JsonElement? value, string what)
    {
        var content = value is { ValueKind: JsonValueKind.String } ? value : value.Member("content");
        return content?.ValueKind == JsonValueKind.String
                && value.Member("normalized")?.ValueKind is null or JsonValueKind.True or JsonValueKind.False
            ? new SpecialToken(content.Value.GetString()!, value.Member("normalized")?.GetBoolean() ?? false)
            : throw new InvalidDataException(
                $"{what} is {Brief(value?.GetRawText() ?? "null")}, where text or an object with \"content\" was expected");
    }
}
