namespace StorySync.Diffusion.Weights;

/// <summary>A checkpoint is not of the module it was to be bound to.</summary>
public sealed class WeightMismatchException : ModelFileException
{
    private const int Shown = 5;

    private WeightMismatchException(ITensorSource source, IReadOnlyList<string>[] lists)
        : base(source.Path, Problem(source, lists))
    {
        (Missing, Unexpected, Misshaped) = (lists[0], lists[1], lists[2]);
    }

    /// <summary>What the module has and the checkpoint lacks, each with the shape that is wanted.</summary>
    public IReadOnlyList<string> Missing { get; }

    /// <summary>What the checkpoint holds and the module has no place for.</summary>
    public IReadOnlyList<string> Unexpected { get; }

    /// <summary>What both have, in different shapes.</summary>
    public IReadOnlyList<string> Misshaped { get; }

    internal static void ThrowIfAny(
        ITensorSource source,
        IEnumerable<(string Name, long[] Shape)> missing,
        IEnumerable<TensorInfo> unexpected,
        IEnumerable<(TensorInfo Stored, long[] Wanted)> misshaped)
    {
        IReadOnlyList<string>[] lists =
        [
            [.. missing.Select(entry => $"{entry.Name} {ShapeText.Of(entry.Shape)}").Order(StringComparer.Ordinal)],
            [.. unexpected.Select(info => info.ToString()).Order(StringComparer.Ordinal)],
            [.. misshaped.Select(entry => $"{entry.Stored}, wanted {ShapeText.Of(entry.Wanted)}").Order(StringComparer.Ordinal)],
        ];
        if (lists.Any(list => list.Count > 0))
        {
            throw new WeightMismatchException(source, lists);
        }
    }

    private static string Problem(ITensorSource source, IReadOnlyList<string>[] lists)
    {
        string[] titles = ["missing", "unexpected", "of another shape"];
        var parts = titles.Zip(lists).Where(part => part.Second.Count > 0).Select(part => $"\n  {part.Second.Count} {part.First}: "
            + string.Join("; ", part.Second.Take(Shown)) + (part.Second.Count > Shown ? "; …" : ""));
        var guess = CheckpointKind.Guess(source.Tensors) is { } kind ? $"\n  These tensors are {kind}." : "";
        return $"its tensors are not those of the model that was to be loaded.{string.Concat(parts)}{guess}";
    }
}
