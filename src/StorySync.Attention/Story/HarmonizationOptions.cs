namespace StorySync.Attention;

/// <summary>Specifies regional feature harmonization in a run; see <see cref="Harmonization"/>.</summary>
/// <inheritdoc cref="StoryAttentionOptions" path="/remarks"/>
public sealed record HarmonizationOptions
{
    /// <summary>Gets α, the share of the other images in a blended token, 0 … 1; 0 turns harmonization off. Default 0.5.</summary>
    public double? Alpha { get; init => field = Require.InRange(value, 0, 1); }

    /// <summary>Gets τ, −1 … 1: tokens blend if their cosine similarity is above it. Default 0.5.</summary>
    public double? Threshold { get; init => field = Require.InRange(value, -1, 1); }

    /// <summary>Gets κ, 0.001 … 100, how evenly the matches in several images count: a small one follows the best match. Default
    /// 0.1.</summary>
    public double? Temperature { get; init => field = Require.InRange(value, 0.001, 100); }

    /// <summary>Gets the steps that harmonize. Default the middle, 0.2 … 0.8: earlier there is no detail yet, later none may be smoothed
    /// away.</summary>
    public StepRange? Steps { get; init; }

    /// <summary>Gets the layers that harmonize; see <see cref="StoryAttentionOptions"/> for the form. Default all.</summary>
    public string? Layers { get; init => field = LayerFilter.Check(value); }

    internal static HarmonizationOptions Default { get; } = new()
    {
        Alpha = 0.5, Threshold = 0.5, Temperature = 0.1, Steps = new(0.2, 0.8), Layers = LayerFilter.All,
    };

    internal HarmonizationOptions Over(HarmonizationOptions defaults) => new()
    {
        Alpha = Alpha ?? defaults.Alpha,
        Threshold = Threshold ?? defaults.Threshold,
        Temperature = Temperature ?? defaults.Temperature,
        Steps = Steps ?? defaults.Steps,
        Layers = Layers ?? defaults.Layers,
    };
}
