using StorySync.Pipelines;

namespace StorySync.Samples.Evaluate;

/// <summary>Everything that decides what a story's images and figures are: two equal jobs give the same.</summary>
internal sealed record StoryJob
{
    public required string Model { get; init; }

    public required string Clip { get; init; }

    public required string Device { get; init; }

    public required string Dtype { get; init; }

    public required string Variant { get; init; }

    public required string Story { get; init; }

    public required string Subject { get; init; }

    public required IReadOnlyList<string> Prompts { get; init; }

    public required StoryOptions Options { get; init; }

    public MaskDamage? Damage { get; init; }

    /// <summary>Gets where the anchors come from; null from the story itself, or for none.</summary>
    public AnchorSource? AnchorsFrom { get; init; }

    /// <summary>Gets the first scene that counts as new, from 0: the scenes before are the anchors of some variant. Null where no variant
    /// has anchors.</summary>
    public int? FirstNew { get; init; }

    public long Seed => Options.Request?.Seed ?? 0;

    /// <summary>Whether this job and another come to the same, whatever their variants are called.</summary>
    public bool IsAs(StoryJob other) => Json.Text(this with { Variant = other.Variant }) == Json.Text(other);
}
