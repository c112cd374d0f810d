namespace StorySync.Diffusion.Kandinsky3;

/// <summary>What the blocks of a <see cref="Kandinsky3UNet"/> have in common.</summary>
/// <param name="TimeWidth">Width of the time embedding.</param>
/// <param name="TextWidth">Width of the text.</param>
/// <param name="Groups">Groups of the norms.</param>
/// <param name="HeadWidth">The width of a head that the config asks for.</param>
internal sealed record Kandinsky3Settings(long TimeWidth, long TextWidth, long Groups, int HeadWidth)
{
    /// <summary>How many heads a width takes, and how wide they really are: where the width is no multiple of
    /// <see cref="HeadWidth"/>, the heads share what is left over.</summary>
    /// <exception cref="ArgumentException">The width cannot be shared evenly.</exception>
    public (int Heads, int HeadWidth) Split(long width)
    {
        var heads = (int)(width / HeadWidth);
        return heads > 0 && width % heads == 0
            ? (heads, (int)(width / heads))
            : throw new ArgumentException($"{width} channels cannot be shared among heads of attention_head_dim, {HeadWidth}.");
    }
}
