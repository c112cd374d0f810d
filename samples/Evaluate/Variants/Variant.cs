using StorySync.Pipelines;

namespace StorySync.Samples.Evaluate;

/// <summary>One way to make every story.</summary>
/// <param name="Name">Its name, which is a folder's too.</param>
/// <param name="Options">The options; their seed is the story's.</param>
internal sealed record Variant(string Name, StoryOptions Options)
{
    /// <summary>How many scenes stories have; null for as many as the run says.</summary>
    public int? Scenes { get; init; }

    /// <summary>How the plain run's masks are spoiled before they are given; null to find masks.</summary>
    public MaskDamage? Damage { get; init; }

    /// <summary>Where its anchors come from; null from the story itself, or for no anchors.</summary>
    public AnchorSource? AnchorsFrom { get; init; }

    /// <summary>Where on a sweep it lies; null if it stands for itself.</summary>
    public SweepPoint? Point { get; init; }

    /// <summary>Whether it is the plain model, alone or swept.</summary>
    public bool IsPlain => (Point?.Base ?? Name) == BuiltInVariants.Plain;
}

/// <summary>A value of a constant that is swept.</summary>
/// <param name="Axis">The constant.</param>
/// <param name="Base">The variant that is otherwise followed.</param>
/// <param name="Label">The value as it was written.</param>
/// <param name="IsDefault">Whether it is the value that the option has anyway.</param>
internal sealed record SweepPoint(string Axis, string Base, string Label, bool IsDefault);
