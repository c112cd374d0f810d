using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>What of a stored tensor a model's tensor is.</summary>
internal abstract record TensorForm
{
    /// <summary>All of it, as it is.</summary>
    public static readonly TensorForm Whole = new RowsForm(0, 1, 1);

    /// <summary>Its second half of rows before its first.</summary>
    public static readonly TensorForm SwappedHalves = new RowsForm(1, 2, 2);

    /// <summary>A matrix with rows and columns exchanged.</summary>
    public static readonly TensorForm Transposed = new TransposedForm();

    /// <summary>A convolution of 1 × 1 as a matrix.</summary>
    public static readonly TensorForm Matrix = new MatrixForm();

    /// <summary>Some of its rows: <paramref name="count"/> parts from part <paramref name="start"/> on, of <paramref name="parts"/>
    /// equal ones.</summary>
    public static TensorForm Rows(int start, int count, int parts) => new RowsForm(start, count, parts);

    /// <summary>Gets a value indicating whether the values follow each other in the stored tensor, in the same order.</summary>
    public abstract bool IsView { get; }

    /// <summary>Returns the shape, for that of the stored tensor.</summary>
    public abstract IReadOnlyList<long> Of(IReadOnlyList<long> shape);

    /// <summary>Returns the values. Consumes the stored tensor.</summary>
    public abstract Tensor Of(Tensor stored);

    /// <summary>Returns the values, as blocks as they are stored; null if they are no whole blocks in their order. Consumes the stored
    /// ones.</summary>
    public virtual StoredBlocks? Of(StoredBlocks stored)
    {
        stored.Dispose();
        return null;
    }

    private sealed record RowsForm(int Start, int Count, int Parts) : TensorForm
    {
        public override bool IsView => Start + Count <= Parts;

        public override IReadOnlyList<long> Of(IReadOnlyList<long> shape) =>
            Parts == 1 || shape.Count == 0 ? shape : [shape[0] / Parts * Count, .. shape.Skip(1)];

        // The rows go on with the first where they run past the last.
        public override Tensor Of(Tensor stored)
        {
            if (Parts == 1 || stored.dim() == 0)
            {
                return stored;
            }

            using (stored)
            {
                var size = stored.shape[0] / Parts;
                return IsView ? stored.narrow(0, Start * size, Count * size) : stored.roll(-Start * size, 0);
            }
        }

        public override StoredBlocks? Of(StoredBlocks stored) =>
            Parts == 1 ? stored : IsView ? stored.Rows(Start, Count, Parts) : base.Of(stored);
    }

    private sealed record TransposedForm : TensorForm
    {
        public override bool IsView => false;

        public override IReadOnlyList<long> Of(IReadOnlyList<long> shape) => [.. shape.Reverse()];

        public override Tensor Of(Tensor stored)
        {
            using (stored)
            using (var transposed = stored.mT)
            {
                return transposed.contiguous();
            }
        }
    }

    private sealed record MatrixForm : TensorForm
    {
        public override bool IsView => true;

        public override IReadOnlyList<long> Of(IReadOnlyList<long> shape) =>
            shape is [var rows, var columns, 1, 1] ? [rows, columns] : shape;

        public override Tensor Of(Tensor stored)
        {
            using (stored)
            {
                return stored.view([.. Of((IReadOnlyList<long>)stored.shape)]);
            }
        }

        public override StoredBlocks Of(StoredBlocks stored) => stored.Reshape(Of((IReadOnlyList<long>)stored.Shape));
    }
}
