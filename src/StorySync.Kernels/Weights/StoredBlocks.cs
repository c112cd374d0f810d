using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Weights in the form in which a file has them, which are decoded whenever they are needed.</summary>
internal sealed class StoredBlocks : IDisposable
{
    // The pieces that threads decode, in whole blocks.
    private const int PieceLength = 1 << 16;

    private readonly Tensor bytes;
    private readonly BlockFormat format;
    private readonly bool isView;
    private readonly float scale;

    /// <param name="bytes">The blocks, uint8, contiguous, on the CPU. Consumed.</param>
    /// <param name="format">The format.</param>
    /// <param name="shape">The shape of the values; the last axis is a whole number of blocks.</param>
    /// <param name="isView">Whether the bytes are a view of a mapped file.</param>
    /// <param name="scale">What the values are multiplied by.</param>
    public StoredBlocks(Tensor bytes, BlockFormat format, IReadOnlyList<long> shape, bool isView, float scale = 1)
    {
        (this.bytes, this.format, Shape, this.isView, this.scale) = (bytes.DetachFromDisposeScope(), format, [.. shape], isView, scale);
        var count = Shape.Aggregate(1L, (product, length) => checked(product * length));
        if (count % format.Values != 0 || count / format.Values * format.Bytes != bytes.numel())
        {
            throw ShapeMismatch.Of("Blocks", ("bytes", bytes));
        }
    }

    /// <summary>Gets the shape of the values.</summary>
    public long[] Shape { get; }

    /// <summary>Gets the number of bytes that are stored.</summary>
    public long ByteCount => bytes.numel();

    /// <summary>Gets a value indicating whether the bytes are a mapped file's, whose pages can be given back.</summary>
    public bool IsView => isView;

    /// <summary>Some of the rows: parts of equal size from one on. The whole is consumed.</summary>
    /// <returns>The rows; null if they are no whole blocks.</returns>
    public StoredBlocks? Rows(int start, int count, int parts)
    {
        var size = Shape.Length == 0 ? 0 : Shape[0] / parts;
        var row = Shape.Skip(1).Aggregate(1L, (product, length) => product * length);
        if (size == 0 || row % format.Values != 0)
        {
            bytes.Dispose();
            return null;
        }

        using (bytes)
        {
            var rowBytes = row / format.Values * format.Bytes;
            return new(bytes.narrow(0, start * size * rowBytes, count * size * rowBytes), format, [count * size, .. Shape.Skip(1)],
                isView, scale);
        }
    }

    /// <summary>Returns the same values in another shape.</summary>
    public StoredBlocks Reshape(IReadOnlyList<long> shape) => new(bytes, format, shape, isView, scale);

    /// <summary>Returns the same values, multiplied.</summary>
    public StoredBlocks Times(float factor) => new(bytes, format, Shape, isView, scale * factor);

    /// <summary>Decodes the values.</summary>
    /// <returns>A tensor of float32 in the current dispose scope.</returns>
    public Tensor Decode()
    {
        var result = empty(Shape, ScalarType.Float32);
        using var flat = result.view(-1);
        var count = flat.numel();
        var pieceLength = Math.Max(PieceLength / format.Values, 1) * format.Values;
        ThreadTeam.Run(checked((int)((count + pieceLength - 1) / pieceLength)), piece =>
        {
            var first = (long)piece * pieceLength;
            var length = Math.Min(pieceLength, count - first);
            using var target = flat.narrow(0, first, length);
            using var source = bytes.narrow(0, first / format.Values * format.Bytes, length / format.Values * format.Bytes);
            var values = MemoryMarshal.Cast<byte, float>(target.bytes);
            format.Decode(source.bytes, values);
            if (scale != 1)
            {
                for (var i = 0; i < values.Length; i++)
                {
                    values[i] *= scale;
                }
            }
        });
        return result;
    }

    /// <summary>Lets the operating system have the pages in which the blocks are, where they are a mapped file's.</summary>
    public void ReleasePages()
    {
        if (isView)
        {
            PageAdvice.Release(bytes);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => bytes.Dispose();
}
