namespace StorySync.Attention;

/// <summary>Specifies what scenes of one location share (<see cref="StoryAttention.Locations"/>): the tokens that belong to no subject are
/// one more subject, for <see cref="SharedAttention"/> and <see cref="Harmonization"/>.</summary>
/// <inheritdoc cref="StoryAttentionOptions" path="/remarks"/>
public sealed record LocationOptions
{
    /// <summary>Gets λ, how strongly backgrounds read each other, at least 0; 0 turns sharing off. Default 1: cross-image tokens count like
    /// own ones.</summary>
    public double? Strength { get; init => field = Require.InRange(value, 0, double.MaxValue); }

    /// <summary>Gets α, the share of the other images in a blended token of the background, 0 … 1; threshold and temperature are those of
    /// <see cref="HarmonizationOptions"/>. Default 0: backgrounds are not harmonized.</summary>
    public double? Alpha { get; init => field = Require.InRange(value, 0, 1); }

    /// <summary>Gets the steps that share and harmonize. Default all.</summary>
    public StepRange? Steps { get; init; }

    /// <summary>Gets the layers that share and harmonize; see <see cref="StoryAttentionOptions"/> for the form. Default all.</summary>
    public string? Layers { get; init => field = LayerFilter.Check(value); }

    internal static LocationOptions Default { get; } = new() { Strength = 1, Alpha = 0, Steps = StepRange.All, Layers = LayerFilter.All };

    internal LocationOptions Over(LocationOptions defaults) => new()
    {
        Strength = Strength ?? defaults.Strength,
        Alpha = Alpha ?? defaults.Alpha,
        Steps = Steps ?? defaults.Steps,
        Layers = Layers ?? defaults.Layers,
    };
}
