namespace StorySync.Attention;

/// <summary>Represents the grid that a layer's image tokens form, row by row.</summary>
/// <param name="Height">Rows of tokens.</param>
/// <param name="Width">Tokens in a row.</param>
public readonly record struct TokenGrid(int Height, int Width)
{
    /// <summary>Gets the number of image tokens, <c>Height × Width</c>.</summary>
    public int Tokens => Height * Width;

    /// <inheritdoc/>
    public override string ToString() => $"{Height}×{Width}";
}
