namespace StorySync.Diffusion.Tokenizers;

/// <summary>A token and the characters that it covers, [<paramref name="Start"/>, <paramref name="End"/>) of the normalized text.</summary>
internal readonly record struct Token(int Id, int Start, int End);
