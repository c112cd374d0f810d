namespace StorySync.Diffusion.Weights;

/// <summary>The exception that is thrown when a checkpoint does not match the module that it is loaded into.</summary>
public sealed class WeightMismatchException : ModelFileException
{
    private const int Shown = 5;

    internal WeightMismatchException(
        ITensorSource source,
        IEnumerable<(string Name, long[] Shape)> missing,
        IEnumerable<TensorInfo> unexpected,
        IEnumerable<(TensorInfo Stored, long[] Wanted)> misshaped)
        : this(
            source,
            [.. missing.Select(entry => $"{entry.Name} {ShapeText.Of(entry.Shape)}").Order(StringComparer.Ordinal)],
            [.. unexpected.Select(info => info.ToString()).Order(StringComparer.Ordinal)],
            [.. misshaped.Select(entry => $"{entry.Stored}, wanted {ShapeText.Of(entry.Wanted)}").Order(StringComparer.Ordinal)])
    {
    }

    private WeightMismatchException(ITensorSource source, string[] missing, string[] unexpected, string[] misshaped)
        : base(source.Path, $"it does not fit the model.{List("missing", missing)}{List("unexpected", unexpected)}"
            + $"{List("of another shape", misshaped)}{Cause(source, missing, unexpected)}")
    {
        (Missing, Unexpected, Misshaped) = (missing, unexpected, misshaped);
    }

    /// <summary>Gets what the module has and the checkpoint lacks, each with the shape that is wanted.</summary>
    public IReadOnlyList<string> Missing { get; }

    /// <summary>Gets what the checkpoint holds and the module has no place for.</summary>
    public IReadOnlyList<string> Unexpected { get; }

    /// <summary>Gets what both have, in different shapes.</summary>
    public IReadOnlyList<string> Misshaped { get; }

    private static string List(string title, string[] tensors) => tensors.Length == 0 ? ""
        : $"\n  {tensors.Length} {title}: {string.Join("; ", tensors.Take(Shown))}{(tensors.Length > Shown ? "; …" : "")}";

    private static string Cause(ITensorSource source, string[] missing, string[] unexpected)
    {
        if (missing.Length == 0 && unexpected.Length == 0)
        {
            return "\n  All names are right: it is a model of the same kind in another size, or its config.json is another model's.";
        }

        return CheckpointKind.Guess(source.Tensors) is { } kind ? $"\n  These tensors are {kind}." : "";
    }
}
