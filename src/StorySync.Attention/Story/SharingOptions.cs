namespace StorySync.Attention;

/// <summary>Masked cross-image attention sharing in a run; see <see cref="SharedAttention"/>.</summary>
public sealed record SharingOptions
{
    /// <summary>λ, how strongly images read each other, at least 0; 0 turns sharing off. Default 1: foreign tokens count like own
    /// ones.</summary>
    public double Strength { get; init => field = Require.InRange(value, 0, double.MaxValue); } = 1;

    /// <summary>Whether only the subject's tokens read other images. Default true: backgrounds stay apart.</summary>
    public bool SubjectQueriesOnly { get; init; } = true;

    /// <summary>The share of foreign tokens, 0 … 0.99, that are dropped at random, anew in each step and layer, to keep poses apart.
    /// Default 0.</summary>
    public double Dropout { get; init => field = Require.InRange(value, 0, 0.99); }

    /// <summary>Where keys carry a rotary position (FLUX): whether a foreign key is moved, from its own position to that of the token of
    /// the reading image's own subject that it is most like, by the cosine of the keys without their positions. Queries then find foreign
    /// tokens by what they are, and the other images' layout stays behind. Default false: it is for sharing in layers that go by position;
    /// FLUX's default layers go by content.</summary>
    public bool MatchPositions { get; init; }

    /// <summary>The steps that share. Default all.</summary>
    public StepRange Steps { get; init; } = StepRange.All;

    /// <summary>The layers that share; see <see cref="StoryAttentionOptions"/> for the form. Default all.</summary>
    public string Layers { get; init => field = LayerFilter.Check(value); } = "*";
}
