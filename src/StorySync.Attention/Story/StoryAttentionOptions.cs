namespace StorySync.Attention;

/// <summary>Specifies what <see cref="StoryAttention"/> does. Plain data: it round-trips through System.Text.Json.</summary>
/// <remarks>
/// A member that is null has its default: in a pipeline the model's, else the general one, which its documentation names.
/// <para>Each <c>Layers</c> is a list of patterns over the layers' paths, separated by commas; <c>*</c> stands for any characters, and a
/// pattern that begins with <c>!</c> takes layers out again: <c>"up_blocks.*, !up_blocks.2.*"</c>. A value out of its range throws
/// <see cref="ArgumentOutOfRangeException"/> when it is set.</para>
/// </remarks>
public sealed record StoryAttentionOptions
{
    /// <summary>Gets the general defaults, every member set.</summary>
    public static StoryAttentionOptions Default { get; } = new()
    {
        Sharing = SharingOptions.Default,
        Harmonization = HarmonizationOptions.Default,
        Layout = LayoutOptions.Default,
        Masks = MaskOptions.Default,
        Placement = PlacementOptions.Default,
        Location = LocationOptions.Default,
        NegativeHalf = true,
    };

    /// <summary>Gets options with every technique off: the model's own attention, to the bit. Masks are still found.</summary>
    public static StoryAttentionOptions Disabled { get; } = new()
    {
        Sharing = new() { Strength = 0 },
        Harmonization = new() { Alpha = 0 },
        Layout = new() { Until = 0 },
        Placement = new() { Until = 0 },
        Location = new() { Strength = 0, Alpha = 0 },
    };

    /// <summary>Gets the options of masked cross-image attention sharing.</summary>
    public SharingOptions? Sharing { get; init; }

    /// <summary>Gets the options of regional feature harmonization.</summary>
    public HarmonizationOptions? Harmonization { get; init; }

    /// <summary>Gets the options of base layout interpolation.</summary>
    public LayoutOptions? Layout { get; init; }

    /// <summary>Gets the options of subject mask extraction.</summary>
    public MaskOptions? Masks { get; init; }

    /// <summary>Gets the options of placement, for subjects that are given regions.</summary>
    public PlacementOptions? Placement { get; init; }

    /// <summary>Gets the options of what scenes of one location share.</summary>
    public LocationOptions? Location { get; init; }

    /// <summary>Gets a value indicating whether sharing, harmonization and location act in the negative half of guidance too. Default true.
    /// Guidance leads away from what the negative half predicts: where that half follows the other scenes more readily than the positive
    /// one does, what acts in both drives the scenes apart. Layout interpolation acts in both in any case.</summary>
    public bool? NegativeHalf { get; init; }

    /// <summary>Returns these options with every member that is null taken from other options.</summary>
    /// <param name="defaults">The options to take members from; where they are null too, the general defaults.</param>
    /// <returns>Options with every member set.</returns>
    public StoryAttentionOptions Over(StoryAttentionOptions defaults)
    {
        ArgumentNullException.ThrowIfNull(defaults);
        return new()
        {
            Sharing = (Sharing ?? new()).Over((defaults.Sharing ?? new()).Over(SharingOptions.Default)),
            Harmonization = (Harmonization ?? new()).Over((defaults.Harmonization ?? new()).Over(HarmonizationOptions.Default)),
            Layout = (Layout ?? new()).Over((defaults.Layout ?? new()).Over(LayoutOptions.Default)),
            Masks = (Masks ?? new()).Over((defaults.Masks ?? new()).Over(MaskOptions.Default)),
            Placement = (Placement ?? new()).Over((defaults.Placement ?? new()).Over(PlacementOptions.Default)),
            Location = (Location ?? new()).Over((defaults.Location ?? new()).Over(LocationOptions.Default)),
            NegativeHalf = NegativeHalf ?? defaults.NegativeHalf ?? true,
        };
    }

    /// <summary>Finds patterns of the techniques that are on, and of the masks, that match none of a model's layers. Sharing,
    /// harmonization, layout and location look at layers whose queries read image tokens, masks and placement at those whose queries read
    /// text.</summary>
    /// <param name="layers">The model's layers.</param>
    /// <returns>The option (<c>Sharing.Layers</c>), the pattern, and whether the option has no layer at all; then the pattern is all of the
    /// option.</returns>
    internal IReadOnlyList<(string Option, string Pattern, bool IsAll)> FindUnmatchedLayers(IEnumerable<AttentionLayer> layers)
    {
        ArgumentNullException.ThrowIfNull(layers);
        var all = layers.ToList();
        string[] image = [.. all.Where(layer => layer.Kind != AttentionKind.Cross).Select(layer => layer.Path)];
        string[] text = [.. all.Where(layer => layer.Kind != AttentionKind.Self).Select(layer => layer.Path)];
        (string Option, string? Layers, string[] Paths)[] options =
        [
            ("Sharing.Layers", Sharing?.Strength == 0 ? null : Sharing?.Layers, image),
            ("Harmonization.Layers", Harmonization?.Alpha == 0 ? null : Harmonization?.Layers, image),
            ("Layout.Layers", Layout?.Until == 0 ? null : Layout?.Layers, image),
            ("Masks.Layers", Masks?.Layers, text),
            ("Placement.Layers", Placement?.IsOn == false ? null : Placement?.Layers, text),
            ("Location.Layers", Location is { Strength: 0, Alpha: 0 } ? null : Location?.Layers, image),
        ];
        return [.. options.Where(option => option.Layers is not null).SelectMany(option =>
            Unmatched(option.Option, option.Layers!, option.Paths))];
    }

    private static IEnumerable<(string Option, string Pattern, bool IsAll)> Unmatched(string option, string layers, string[] paths)
    {
        var filter = new LayerFilter(layers);
        return paths.Any(filter.Contains)
            ? filter.Unmatched(paths).Select(pattern => (option, pattern, false))
            : [(option, layers, true)];
    }
}
