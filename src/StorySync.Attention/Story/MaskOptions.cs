namespace StorySync.Attention;

/// <summary>How subject masks come out of the attention to the subjects' text tokens.</summary>
public sealed record MaskOptions
{
    /// <summary>Masks come from the layers on the finest grid up to this one, by its longer side in tokens; at least 1. If no layer has
    /// one so small, the smallest grid there is counts. Default 32, in which SDXL tells objects apart best.</summary>
    public int MaxGrid { get; init => field = Require.AtLeast(value, 1); } = 32;

    /// <summary>γ, 0 … 1: how much a step's maps count one step later. 0 looks at the last step alone. Default 0.9.</summary>
    public double Decay { get; init => field = Require.InRange(value, 0, 1); } = 0.9;

    /// <summary>When the first mask is there. Null (default): after the first step, like every later mask. A number n, at least 1: already
    /// within the first step, made from the first n layers that count, so that the layers after them share. For models that need few
    /// steps.</summary>
    public int? ReadyAfterLayers { get; init => field = value is { } layers ? Require.AtLeast(layers, 1) : null; }

    /// <summary>Repair: gaps of up to twice as many tokens (of the mask's grid) are closed, at least 0. Default 0, none.</summary>
    public int Closing { get; init => field = Require.AtLeast(value, 0); }

    /// <summary>Repair: how many connected components stay, the largest first, at least 0; 0 (default) keeps all.</summary>
    public int Components { get; init => field = Require.AtLeast(value, 0); }

    /// <summary>Repair: connected components below this share of the picture, 0 … 1, are dropped. Default 0.01: speckles
    /// that attention leaves in the background are not the subject.</summary>
    public double MinArea { get; init => field = Require.InRange(value, 0, 1); } = 0.01;

    /// <summary>The layers that count; see <see cref="StoryAttentionOptions"/> for the form. Default all.</summary>
    public string Layers { get; init => field = LayerFilter.Check(value); } = "*";

    internal bool Repairs => Closing > 0 || Components > 0 || MinArea > 0;
}
