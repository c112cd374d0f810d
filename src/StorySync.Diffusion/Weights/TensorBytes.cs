using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>The bytes of contiguous CPU tensors, in pieces that a span can hold.</summary>
internal static class TensorBytes
{
    private const long PieceLength = 1 << 26;

    public static void Write(Tensor tensor, Stream stream)
    {
        foreach (var piece in Pieces(tensor, PieceLength))
        {
            using (piece)
            {
                stream.Write(piece.bytes);
            }
        }
    }

    /// <summary>Fills <paramref name="target"/> with the bytes of <paramref name="source"/>, whatever the types of the two.</summary>
    public static void Copy(Tensor source, Tensor target)
    {
        foreach (var (from, to) in Pieces(source, PieceLength * target.ElementSize / source.ElementSize).Zip(Pieces(target, PieceLength)))
        {
            using (from)
            using (to)
            {
                from.bytes.CopyTo(to.bytes);
            }
        }
    }

    /// <summary>Enumerates a tensor in pieces; the caller disposes each.</summary>
    public static IEnumerable<Tensor> Pieces(Tensor tensor) => Pieces(tensor, PieceLength);

    private static IEnumerable<Tensor> Pieces(Tensor tensor, long length)
    {
        using var flat = tensor.view(-1);
        var count = flat.NumberOfElements;
        for (var start = 0L; start < count; start += length)
        {
            yield return flat.narrow(0, start, Math.Min(length, count - start));
        }
    }
}
