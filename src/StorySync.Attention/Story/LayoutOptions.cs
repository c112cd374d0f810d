namespace StorySync.Attention;

/// <summary>Specifies base layout interpolation in a run; see <see cref="LayoutInterpolation"/>.</summary>
/// <inheritdoc cref="StoryAttentionOptions" path="/remarks"/>
public sealed record LayoutOptions
{
    /// <summary>Gets β at the first step, the share of the unmodified branch's queries, 0 … 1. Default 0.9.</summary>
    public double? Start { get; init => field = Require.InRange(value, 0, 1); }

    /// <summary>Gets β at the end of the window, to which it falls linearly, 0 … 1. Default 0.</summary>
    public double? End { get; init => field = Require.InRange(value, 0, 1); }

    /// <summary>Gets the window: the first share of the steps, 0 … 1, in which the unmodified branch runs along. 0 turns interpolation off.
    /// Default 0.3.</summary>
    public double? Until { get; init => field = Require.InRange(value, 0, 1); }

    /// <summary>Gets the layers that interpolate; see <see cref="StoryAttentionOptions"/> for the form. Default all.</summary>
    public string? Layers { get; init => field = LayerFilter.Check(value); }

    internal static LayoutOptions Default { get; } = new() { Start = 0.9, End = 0, Until = 0.3, Layers = LayerFilter.All };

    internal LayoutOptions Over(LayoutOptions defaults) => new()
    {
        Start = Start ?? defaults.Start,
        End = End ?? defaults.End,
        Until = Until ?? defaults.Until,
        Layers = Layers ?? defaults.Layers,
    };

    internal double WeightAt(int step, int steps) => LayoutInterpolation.Weight(step, steps, Start!.Value, End!.Value, Until!.Value);

    internal bool NeedsBase(int step, int steps) => (Start > 0 || End > 0) && step < Until * steps;
}
