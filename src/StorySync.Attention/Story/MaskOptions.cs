namespace StorySync.Attention;

/// <summary>Specifies how subject masks come out of the attention to the subjects' text tokens.</summary>
/// <inheritdoc cref="StoryAttentionOptions" path="/remarks"/>
public sealed record MaskOptions
{
    /// <summary>Gets the longer side in tokens, at least 1, up to which grids count: masks come from the layers on the finest of them. If
    /// no layer has one so small, the smallest grid there is counts. Default 32, in which SDXL tells objects apart best.</summary>
    public int? MaxGrid { get; init => field = Require.AtLeast(value, 1); }

    /// <summary>Gets γ, 0 … 1: how much a step's maps count one step later. 0 looks at the last step alone. Default 0.9.</summary>
    public double? Decay { get; init => field = Require.InRange(value, 0, 1); }

    /// <summary>Gets when the first mask is there. 0 (default): after the first step, like every later mask. A number n above 0: already
    /// within the first step, made from the first n layers that count, so that the layers after them share. For models that need few
    /// steps.</summary>
    public int? ReadyAfterLayers { get; init => field = Require.AtLeast(value, 0); }

    /// <summary>Gets the repair of gaps: those of up to twice as many tokens (of the mask's grid) are closed, at least 0. Default 0,
    /// none.</summary>
    public int? Closing { get; init => field = Require.AtLeast(value, 0); }

    /// <summary>Gets how many connected components stay, the largest first, at least 0; 0 (default) keeps all.</summary>
    public int? Components { get; init => field = Require.AtLeast(value, 0); }

    /// <summary>Gets the share of the image, 0 … 1, below which connected components are dropped. Default 0.01: speckles that attention
    /// leaves in the background are not the subject.</summary>
    public double? MinArea { get; init => field = Require.InRange(value, 0, 1); }

    /// <summary>Gets how much noise an existing image, which is not drawn, may have for its subjects to be looked for, 0 … 1: they are
    /// found at the first model call with less (σ in flow matching, elsewhere 1 − ᾱ), or at the last one if none has less. Default 0.5.
    /// </summary>
    public double? ImageNoise { get; init => field = Require.InRange(value, 0, 1); }

    /// <summary>Gets the layers that count; see <see cref="StoryAttentionOptions"/> for the form. Default all.</summary>
    public string? Layers { get; init => field = LayerFilter.Check(value); }

    internal static MaskOptions Default { get; } = new()
    {
        MaxGrid = 32, Decay = 0.9, ReadyAfterLayers = 0, Closing = 0, Components = 0, MinArea = 0.01, ImageNoise = 0.5,
        Layers = LayerFilter.All,
    };

    internal bool Repairs => Closing > 0 || Components > 0 || MinArea > 0;

    internal MaskOptions Over(MaskOptions defaults) => new()
    {
        MaxGrid = MaxGrid ?? defaults.MaxGrid,
        Decay = Decay ?? defaults.Decay,
        ReadyAfterLayers = ReadyAfterLayers ?? defaults.ReadyAfterLayers,
        Closing = Closing ?? defaults.Closing,
        Components = Components ?? defaults.Components,
        MinArea = MinArea ?? defaults.MinArea,
        ImageNoise = ImageNoise ?? defaults.ImageNoise,
        Layers = Layers ?? defaults.Layers,
    };
}
