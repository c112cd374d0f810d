namespace StorySync.Diffusion.Tokenizers;

/// <summary>The settings of a tokenizer's folder, with the defaults of its class filled in.</summary>
internal sealed record TokenizerSettings
{
    /// <summary>Gets the token that begins a sequence, null for none.</summary>
    public required SpecialToken? BosToken { get; init; }

    public required SpecialToken EosToken { get; init; }

    public required SpecialToken UnkToken { get; init; }

    public required SpecialToken PadToken { get; init; }

    /// <summary>Further special tokens; an id where the folder gives one.</summary>
    public required IReadOnlyList<(SpecialToken Token, int? Id)> Added { get; init; }

    public required int ModelMaxLength { get; init; }

    /// <summary>
    /// Every special token by its text. An added token that the vocabulary lacks comes after it. Where roles share a text, the last
    /// one says how it is matched, as in transformers.
    /// </summary>
    /// <exception cref="InvalidDataException">The vocabulary lacks a token that has a role.</exception>
    public Dictionary<string, (int Id, bool Normalized)> Assign(ITokenizerModel model)
    {
        var assigned = new Dictionary<string, (int Id, bool Normalized)>();
        int next = model.VocabularySize;
        foreach (var (token, given) in Added)
        {
            int id = assigned.TryGetValue(token.Content, out var known) ? known.Id : model.IdOf(token.Content) ?? given ?? next;
            assigned[token.Content] = (id, token.Normalized);
            next = Math.Max(next, id + 1);
        }

        (string, SpecialToken?)[] roles =
            [("bos_token", BosToken), ("eos_token", EosToken), ("unk_token", UnkToken), ("pad_token", PadToken)];
        foreach (var (role, token) in roles)
        {
            if (token is not null)
            {
                int? id = assigned.TryGetValue(token.Content, out var known) ? known.Id : model.IdOf(token.Content);
                assigned[token.Content] = (id ?? throw Lacks(model, role, token), token.Normalized);
            }
        }

        return assigned;
    }

    private static InvalidDataException Lacks(ITokenizerModel model, string role, SpecialToken token) =>
        new($"its vocabulary of {model.VocabularySize} tokens lacks the {role} \"{token.Content}\"");
}
