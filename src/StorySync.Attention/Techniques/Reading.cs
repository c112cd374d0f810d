namespace StorySync.Attention;

/// <summary>Specifies what is read besides a query's own image, and how strongly.</summary>
/// <param name="Strength">λ of the subjects' tokens; 0: they are not read.</param>
/// <param name="Background">Whether tokens of no subject read those of all.</param>
/// <param name="LocationStrength">λ of tokens of no subject for one another, among images of the same location; 0: they are not
/// read.</param>
/// <param name="Placed">Whether queries outside a subject's region turn from its words.</param>
internal readonly record struct Sharing(double Strength, bool Background, double LocationStrength = 0, bool Placed = false)
{
    /// <summary>Gets a value indicating whether anything is read.</summary>
    public bool IsOn => Strength > 0 || LocationStrength > 0;
}

/// <summary>Represents tokens of an image that attend to the same keys: to their own image, and to tokens of others.</summary>
/// <param name="Image">The image.</param>
/// <param name="Queries">The tokens that read, at least one.</param>
/// <param name="CrossImage">What they read of other images.</param>
/// <param name="Own">The image's own tokens of the subjects that they read.</param>
/// <param name="Words">What is added to the logits of their own image's tokens.</param>
internal sealed record Reading(
    int Image, int[] Queries, IReadOnlyList<CrossImageSubject> CrossImage, int[] Own, IReadOnlyList<WordBias> Words)
{
    /// <summary>Gets the number of cross-image tokens.</summary>
    public int CrossImageCount => CrossImage.Sum(part => part.Tokens.Length);
}

/// <summary>Represents tokens that other images read.</summary>
/// <param name="Subject">The subject that they belong to, or <see cref="OfAll"/>.</param>
/// <param name="Tokens">Where they are, as indices into (images · length), at least one.</param>
/// <param name="Bias">Added to their logits.</param>
internal sealed record CrossImageSubject(int Subject, int[] Tokens, double Bias)
{
    /// <summary>The tokens of all subjects.</summary>
    public const int OfAll = -1;
}

/// <summary>What is added to the logits of a token.</summary>
/// <param name="Token">The token.</param>
/// <param name="Bias">What is added.</param>
internal readonly record struct WordBias(int Token, double Bias);

/// <summary>Represents queries that lie outside the regions of the same subjects.</summary>
/// <param name="Queries">The queries.</param>
/// <param name="Words">The subjects' words, lowered.</param>
internal sealed record PlacedQueries(int[] Queries, IReadOnlyList<WordBias> Words);
