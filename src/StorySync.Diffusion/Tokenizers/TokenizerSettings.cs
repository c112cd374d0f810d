namespace StorySync.Diffusion.Tokenizers;

/// <summary>The settings of a tokenizer's folder, with the defaults of its class filled in.</summary>
internal sealed record TokenizerSettings
{
    /// <summary>The token that begins a sequence, null for none.</summary>
    public required SpecialToken? BosToken { get; init; }

    public required SpecialToken EosToken { get; init; }

    public required SpecialToken UnkToken { get; init; }

    public required SpecialToken PadToken { get; init; }

    /// <summary>Further special tokens; an id where the folder gives one.</summary>
    public required IReadOnlyList<(SpecialToken Token, int? Id)> Added { get; init; }

    public required int ModelMaxLength { get; init; }

    /// <summary>The id of every special token. An added token that the vocabulary lacks comes behind it.</summary>
    /// <exception cref="InvalidDataException">The vocabulary lacks one of the four tokens that have a role.</exception>
    public Dictionary<SpecialToken, int> AssignIds(ITokenizerModel model)
    {
        var ids = new Dictionary<SpecialToken, int>();
        int next = model.VocabularySize;
        foreach (var (token, given) in Added)
        {
            if (!ids.ContainsKey(token))
                ids.Add(token, model.IdOf(token.Content) ?? given ?? next);
            next = Math.Max(next, ids[token] + 1);
        }
        foreach (var (role, token) in new[] { ("bos_token", BosToken), ("eos_token", EosToken), ("unk_token", UnkToken), ("pad_token", PadToken) })
        {
            if (token is not null && !ids.ContainsKey(token))
                ids.Add(token, model.IdOf(token.Content) ?? throw new InvalidDataException($"its vocabulary of {model.VocabularySize} tokens lacks the {role} \"{token.Content}\""));
        }
        return ids;
    }
}
