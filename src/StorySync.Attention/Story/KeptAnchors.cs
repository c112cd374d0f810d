using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Represents anchors of which tokens are kept, as images before those of a batch. They are read where they lie, or before the
/// batch's own tokens; nothing of them is computed.</summary>
/// <param name="halves">What is kept, for each guidance half of the batch.</param>
/// <param name="tokens">Where the subjects are, in the anchors and after them in the scenes.</param>
internal sealed class KeptAnchors(IReadOnlyList<KeptKeys> halves, SubjectTokens tokens)
{
    /// <summary>Gets where the subjects are, in the anchors and after them in the scenes.</summary>
    public SubjectTokens Tokens => tokens;

    /// <summary>Gets the number of anchors.</summary>
    public int Count => tokens.Kept!.Images;

    /// <summary>Gets a value indicating whether there are outputs to harmonize with.</summary>
    public bool HasOutputs => halves.All(half => half.Output is not null);

    /// <summary>Gets the keys and values as the kernel reads them.</summary>
    public KeptTokens InPlace() => new(
        Count,
        tokens.Kept!.Rows,
        [.. halves.Select(half => (Readable(half.Key), Readable(half.Value)))]);

    /// <summary>Puts the keys before those of the batch, (tokens, heads, width).</summary>
    public Tensor BeforeKeys(Tensor batch) => Before(batch, half => half.Key);

    /// <summary>Puts the values before those of the batch, (tokens, heads, width).</summary>
    public Tensor BeforeValues(Tensor batch) => Before(batch, half => half.Value);

    /// <summary>Gets the outputs as tensors like those of the batch, (tokens, width) for each half.</summary>
    public IReadOnlyList<Tensor> OutputsLike(Tensor batch) => [.. halves.Select(half => Like(batch, half.Output!))];

    private static Tensor Readable(Tensor kept) => kept.to_type(ScalarType.Float32).contiguous();

    private Tensor Before(Tensor batch, Func<KeptKeys, Tensor> part) => cat([.. halves.Select(half => Like(batch, part(half))), batch]);

    private static Tensor Like(Tensor batch, Tensor kept) =>
        (kept.device_type == batch.device_type ? kept : DeviceTransfer.Send(kept, batch.device)).to_type(batch.dtype);
}

/// <summary>Represents where tokens of kept images are among those that are kept.</summary>
internal sealed class KeptRows
{
    /// <param name="positions">For each image and subject where the tokens are among the image's own image tokens.</param>
    /// <param name="textTokens">How many text tokens lead the sequences.</param>
    /// <param name="length">The length of the sequences.</param>
    public KeptRows(IReadOnlyList<IReadOnlyList<IReadOnlyList<int>>> positions, int textTokens, int length)
    {
        Images = positions.Count;
        Rows = new int[Images * length];
        Array.Fill(Rows, -1);
        foreach (var (image, ofImage) in positions.Index())
        {
            foreach (var position in ofImage.SelectMany(ofSubject => ofSubject))
            {
                Rows[(image * length) + textTokens + position] = Count++;
            }
        }
    }

    /// <summary>Gets the number of images.</summary>
    public int Images { get; }

    /// <summary>Gets the number of tokens that are kept.</summary>
    public int Count { get; }

    /// <summary>Gets for each token, image by image, its row among those that are kept; −1 for one that is not.</summary>
    public int[] Rows { get; }
}
