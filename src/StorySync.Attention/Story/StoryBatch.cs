using TorchSharp;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Represents the order of the rows in a batch that denoises a story: by guidance half (negative, positive; or positive alone), in
/// each the scenes of the modified branch, then, while it runs along, those of the unmodified one.</summary>
/// <param name="Scenes">The number of scenes.</param>
/// <param name="Guidance">Whether the batch has a negative half before the positive one.</param>
/// <param name="HasBase">Whether the unmodified branch runs along.</param>
public sealed record StoryBatch(int Scenes, bool Guidance, bool HasBase)
{
    /// <summary>Gets the number of rows.</summary>
    public int Rows => Halves * Branches * Scenes;

    /// <summary>Gets the number of guidance halves.</summary>
    internal int Halves => Guidance ? 2 : 1;

    private int Branches => HasBase ? 2 : 1;

    /// <summary>Returns the modified branch's rows, half by half.</summary>
    /// <param name="rows">A tensor of all rows, (rows, …).</param>
    /// <returns>(halves · scenes, …).</returns>
    public Tensor Modified(Tensor rows) => Branch(rows, 0);

    /// <summary>Returns the unmodified branch's rows, half by half.</summary>
    /// <param name="rows">A tensor of all rows, (rows, …).</param>
    /// <returns>(halves · scenes, …).</returns>
    /// <exception cref="InvalidOperationException">The batch has no unmodified branch.</exception>
    public Tensor Unmodified(Tensor rows) =>
        HasBase ? Branch(rows, 1) : throw new InvalidOperationException("This batch has no unmodified branch; look at HasBase first.");

    /// <summary>Returns the positive half of the modified branch; a view.</summary>
    /// <param name="rows">A tensor of all rows, (rows, …).</param>
    /// <returns>(scenes, …).</returns>
    public Tensor Conditional(Tensor rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        return rows.narrow(0, Rows - (Branches * Scenes), Scenes);
    }

    /// <summary>Puts a batch together again.</summary>
    /// <param name="modified">The modified branch's rows, (halves · scenes, …).</param>
    /// <param name="unmodified">The unmodified branch's, of the same shape; null in a batch without.</param>
    /// <returns>(rows, …).</returns>
    public Tensor Join(Tensor modified, Tensor? unmodified)
    {
        ArgumentNullException.ThrowIfNull(modified);
        if (!HasBase)
        {
            return modified;
        }

        ArgumentNullException.ThrowIfNull(unmodified);
        return Scoped(() => stack([Split(modified), Split(unmodified)], 1).flatten(0, 2));

        Tensor Split(Tensor rows) => rows.unflatten(0, [Halves, Scenes]);
    }

    /// <summary>Gets where the modified branch's scenes are among the rows.</summary>
    internal ImageRows ModifiedRows => new(Halves, Branches * Scenes);

    /// <summary>Views rows by branch, (halves, branches, scenes, …).</summary>
    internal Tensor ByBranch(Tensor rows) => rows.unflatten(0, [Halves, Branches, Scenes]);

    private Tensor Branch(Tensor rows, int branch)
    {
        ArgumentNullException.ThrowIfNull(rows);
        return Scoped(() => ByBranch(rows).select(1, branch).flatten(0, 1));
    }
}
