using System.Text.Json.Serialization;

namespace StorySync.Attention;

/// <summary>Specifies placement in a run: a query outside the region of a subject (<see cref="StorySubject.Regions"/>) has the logits of
/// the subject's words lowered by a strength, <c>softmax(Q Kᵀ / √d − s · 1[outside])</c>. So each image token reads the words of the
/// subjects in whose region it lies, and all words that belong to no subject.</summary>
/// <inheritdoc cref="StoryAttentionOptions" path="/remarks"/>
public sealed record PlacementOptions
{
    /// <summary>Gets the window: the first share of the steps, 0 … 1, that place. 0 turns placement off. Default 0.5: after that the
    /// image is laid out.</summary>
    public double? Until { get; init => field = Require.InRange(value, 0, 1); }

    /// <summary>Gets s, at least 0: by how much logits are lowered; 0 turns placement off, ∞ (default) hides the words. In JSON ∞ is the
    /// string <c>"Infinity"</c>.</summary>
    /// <remarks>A query that has no other words to read, whatever the strength, reads them as if it were not placed.</remarks>
    [JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)]
    public double? Strength { get; init => field = Require.InRange(value, 0, double.PositiveInfinity); }

    /// <summary>Gets the layers that place; see <see cref="StoryAttentionOptions"/> for the form. Default all.</summary>
    public string? Layers { get; init => field = LayerFilter.Check(value); }

    internal static PlacementOptions Default { get; } = new() { Until = 0.5, Strength = double.PositiveInfinity, Layers = LayerFilter.All };

    internal bool IsOn => Until > 0 && Strength > 0;

    internal PlacementOptions Over(PlacementOptions defaults) => new()
    {
        Until = Until ?? defaults.Until,
        Strength = Strength ?? defaults.Strength,
        Layers = Layers ?? defaults.Layers,
    };
}
