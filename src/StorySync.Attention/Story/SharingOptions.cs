namespace StorySync.Attention;

/// <summary>Specifies masked cross-image attention sharing in a run; see <see cref="SharedAttention"/>.</summary>
/// <inheritdoc cref="StoryAttentionOptions" path="/remarks"/>
public sealed record SharingOptions
{
    /// <summary>Gets λ, how strongly images read each other, at least 0; 0 turns sharing off. Default 1: cross-image tokens count like own
    /// ones.</summary>
    public double? Strength { get; init => field = Require.InRange(value, 0, double.MaxValue); }

    /// <summary>Gets a value indicating whether only the subject's tokens read other images. Default true: backgrounds stay
    /// apart.</summary>
    public bool? SubjectQueriesOnly { get; init; }

    /// <summary>Gets the share of cross-image tokens, 0 … 0.99, that are dropped at random, others in each step and layer, to keep poses
    /// apart. Default 0.</summary>
    public double? Dropout { get; init => field = Require.InRange(value, 0, 0.99); }

    /// <summary>Gets a value indicating whether, where keys carry a rotary position (FLUX), a cross-image key is moved from its own
    /// position to that of the token of the reading image's own subject that it is most like, by the cosine of the keys without their
    /// positions. Queries then find cross-image tokens by what they are, not by the other images' layout. Default false: it is for sharing
    /// in layers that go by position; FLUX's default layers go by content.</summary>
    public bool? MatchPositions { get; init; }

    /// <summary>Gets the steps that share. Default all.</summary>
    public StepRange? Steps { get; init; }

    /// <summary>Gets the layers that share; see <see cref="StoryAttentionOptions"/> for the form. Default all.</summary>
    public string? Layers { get; init => field = LayerFilter.Check(value); }

    internal static SharingOptions Default { get; } = new()
    {
        Strength = 1, SubjectQueriesOnly = true, Dropout = 0, MatchPositions = false, Steps = StepRange.All, Layers = LayerFilter.All,
    };

    internal SharingOptions Over(SharingOptions defaults) => new()
    {
        Strength = Strength ?? defaults.Strength,
        SubjectQueriesOnly = SubjectQueriesOnly ?? defaults.SubjectQueriesOnly,
        Dropout = Dropout ?? defaults.Dropout,
        MatchPositions = MatchPositions ?? defaults.MatchPositions,
        Steps = Steps ?? defaults.Steps,
        Layers = Layers ?? defaults.Layers,
    };
}
