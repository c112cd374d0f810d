namespace StorySync.Attention;

/// <summary>What <see cref="StoryAttention"/> does. Plain data: it round-trips through System.Text.Json as it stands.</summary>
/// <remarks>
/// Each <c>Layers</c> is a list of patterns over the layers' paths, separated by commas; <c>*</c> stands for any characters, and a
/// pattern that begins with <c>!</c> takes layers out again: <c>"up_blocks.*, !up_blocks.2.*"</c>. A value out of its range throws
/// <see cref="ArgumentOutOfRangeException"/> when it is set.
/// </remarks>
public sealed record StoryAttentionOptions
{
    /// <summary>Every technique off: the model's own attention, to the bit. Masks are still found.</summary>
    public static StoryAttentionOptions Off { get; } = new()
    {
        Sharing = new() { Strength = 0 },
        Harmonization = new() { Alpha = 0 },
        Layout = new() { Until = 0 },
    };

    /// <summary>Masked cross-image attention sharing.</summary>
    public SharingOptions Sharing { get; init; } = new();

    /// <summary>Regional feature harmonization.</summary>
    public HarmonizationOptions Harmonization { get; init; } = new();

    /// <summary>Base layout interpolation.</summary>
    public LayoutOptions Layout { get; init; } = new();

    /// <summary>Subject mask extraction.</summary>
    public MaskOptions Masks { get; init; } = new();
}
