namespace StorySync.Diffusion.Tokenizers;

/// <summary>What differs between kinds of tokenizers: the text between special tokens to ids.</summary>
internal interface ITokenizerModel
{
    /// <summary>How many ids the vocabulary has.</summary>
    int VocabularySize { get; }

    /// <summary>The id of a token of the vocabulary, or null.</summary>
    int? IdOf(string token);

    /// <summary>Normalizes well-formed UTF-16; every run of white space becomes one space.</summary>
    string Normalize(string text);

    /// <summary>Adds the tokens of normalized <paramref name="text"/>, which begins at <paramref name="offset"/> of the whole.</summary>
    void Tokenize(string text, int offset, List<Token> tokens, CancellationToken cancellationToken);
}
