using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Represents which tokens of a layer's sequence belong to which subject, image by image: the indices that sharing and
/// harmonization gather by. Made once per grid whenever the masks change; only here is the host told how many tokens a mask has.</summary>
/// <remarks>Holds tensors: dispose it.</remarks>
public sealed partial class SubjectTokens : IDisposable
{
    // By image and subject; last those of no subject, where they are shared.
    private readonly int[][][] tokens;
    private readonly int[][] background;
    private readonly Func<int, int, bool> takesPart;
    private readonly Func<int, int, bool> reads;
    private readonly Device device;
    private readonly IReadOnlyList<string?>? locations;
    private readonly IReadOnlyList<IReadOnlyList<PlacedQueries>>? placed;
    private readonly Dictionary<object, IDisposable> indices = [];

    /// <param name="labels">For every image token of every image 0 for background or s for subject s.</param>
    /// <param name="subjects">The number of subjects.</param>
    /// <param name="present">Whether an image takes part in sharing a subject; null: all do.</param>
    /// <param name="textTokens">How many text tokens lead the sequences.</param>
    /// <param name="device">Where the layers' tensors are.</param>
    /// <param name="reads">Whether an image reads another; null: each reads all others.</param>
    /// <param name="locations">Images of the same location share the tokens of no subject; null, of all or of one: it shares none.</param>
    /// <param name="placed">For every image the tokens of its sequence that turn from some words; null for none.</param>
    /// <param name="kept">The first images, where these are kept and not in the batch; null where all are.</param>
    internal SubjectTokens(
        long[][] labels,
        int subjects,
        Func<int, int, bool>? present,
        int textTokens,
        Device device,
        Func<int, int, bool>? reads = null,
        IReadOnlyList<string?>? locations = null,
        IReadOnlyList<IReadOnlyList<PlacedQueries>>? placed = null,
        KeptRows? kept = null)
    {
        Kept = kept;
        Images = labels.Length;
        Subjects = subjects;
        TextTokens = textTokens;
        Length = (labels.FirstOrDefault()?.Length ?? 0) + textTokens;
        takesPart = present ?? ((_, _) => true);
        this.reads = reads ?? ((_, _) => true);
        (this.device, this.locations, this.placed) = (device, locations, placed);
        tokens = [.. labels.Select((ofImage, image) => Enumerable.Range(0, subjects)
            .Select(subject => takesPart(image, subject) ? Where(ofImage, label => label == subject + 1) : [])
            .ToArray())];
        background = [.. labels.Select((ofImage, image) =>
            Where(ofImage, label => label < 1 || label > subjects || tokens[image][label - 1].Length == 0))];
        tokens = [.. tokens.Select((ofImage, image) => (int[][])[.. ofImage, locations?[image] is null ? [] : background[image]])];

        int[] Where(long[] ofImage, Func<long, bool> chosen)
        {
            var found = new List<int>();
            for (var token = 0; token < ofImage.Length; token++)
            {
                if (chosen(ofImage[token]))
                {
                    found.Add(token + textTokens);
                }
            }

            return [.. found];
        }
    }

    /// <summary>Gets the number of images.</summary>
    public int Images { get; }

    /// <summary>Gets the number of subjects.</summary>
    public int Subjects { get; }

    /// <summary>Gets how many text tokens lead the sequence (joint attention); they belong to no subject and are never shared.</summary>
    public int TextTokens { get; }

    /// <summary>Gets the length of the sequence: text tokens and image tokens.</summary>
    public int Length { get; }

    /// <summary>Creates the tokens of one subject.</summary>
    /// <param name="masks">A mask per image over its tokens, bool, (images, tokens).</param>
    /// <param name="present">False takes an image out: it neither reads nor is read. Null: all take part.</param>
    /// <param name="textTokens">How many text tokens lead the sequences that the image tokens are part of.</param>
    /// <param name="reads">Whether an image (first argument, from 0) reads another (second): only then does it take cross-image tokens and
    /// matches from it. An image that reads none may be read. Null: each reads all others.</param>
    /// <exception cref="ArgumentException">The masks are not two-dimensional, or there is not one <paramref name="present"/> per
    /// image.</exception>
    public static SubjectTokens FromMasks(
        Tensor masks, IReadOnlyList<bool>? present = null, int textTokens = 0, Func<int, int, bool>? reads = null)
    {
        ArgumentNullException.ThrowIfNull(masks);
        using var scope = NewDisposeScope();
        Check(masks, present?.Count);
        Func<int, int, bool>? ofImage = present is null ? null : (image, _) => present[image];
        return new SubjectTokens(OnHost(masks.to_type(ScalarType.Int64)), 1, ofImage, textTokens, masks.device, reads);
    }

    /// <summary>Creates the tokens of several subjects.</summary>
    /// <param name="labels">For every token of every image 0 for background or s for subject s, (images, tokens).</param>
    /// <param name="subjects">The number of subjects.</param>
    /// <param name="present">Whether an image (first argument, from 0) takes part in sharing a subject (second, from 0); null: all
    /// do.</param>
    /// <param name="textTokens">How many text tokens lead the sequences that the image tokens are part of.</param>
    /// <param name="device">Where the layers' tensors are; null: where the labels are.</param>
    /// <param name="reads">Whether an image (first argument, from 0) reads another (second): only then does it take cross-image tokens and
    /// matches from it. An image that reads none may be read. Null: each reads all others.</param>
    /// <exception cref="ArgumentException">The labels are not two-dimensional.</exception>
    public static SubjectTokens FromLabels(
        Tensor labels,
        int subjects,
        Func<int, int, bool>? present = null,
        int textTokens = 0,
        Device? device = null,
        Func<int, int, bool>? reads = null)
    {
        ArgumentNullException.ThrowIfNull(labels);
        using var scope = NewDisposeScope();
        Check(labels, null);
        return new SubjectTokens(OnHost(labels.to_type(ScalarType.Int64)), subjects, present, textTokens, device ?? labels.device, reads);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var entry in indices.Values)
        {
            entry.Dispose();
        }

        indices.Clear();
    }

    /// <summary>Gets the images that are kept, before those of the batch; null for none.</summary>
    internal KeptRows? Kept { get; }

    /// <summary>Gets the subject that stands for what belongs to none, where that is shared.</summary>
    internal int Location => Subjects;

    /// <summary>Gets where a subject's tokens are in an image's sequence.</summary>
    internal int[] Of(int image, int subject) => tokens[image][subject];

    /// <summary>Gets the images that have tokens of a subject.</summary>
    internal IEnumerable<int> ImagesOf(int subject) => Enumerable.Range(0, Images).Where(image => tokens[image][subject].Length > 0);

    /// <summary>Whether any image reads tokens of a subject that it has too.</summary>
    internal bool IsRead(int subject) => ImagesOf(subject).Any(image => ImagesOf(subject).Any(other => Reads(image, other, subject)));

    /// <summary>Whether an image reads another's tokens of a subject.</summary>
    internal bool Reads(int image, int other, int subject) =>
        image != other && reads(image, other) && (subject != Location || locations![image] == locations[other]);

    /// <summary>Gets indices that are kept until the masks change.</summary>
    /// <param name="key">What they depend on.</param>
    /// <param name="make">Makes them for a device.</param>
    internal T Indices<T>(object key, Func<Device, T> make)
        where T : IDisposable
    {
        if (!indices.TryGetValue(key, out var found))
        {
            found = make(device);
            indices.Add(key, found);
        }

        return (T)found;
    }

    /// <summary>Finds how many times the images are repeated in a batch (once per guidance half), image by image in each.</summary>
    internal long RepeatsIn(Tensor batch, int tokenAxis, string name)
    {
        if (batch.shape[0] % Images != 0 || batch.shape[tokenAxis] != Length)
        {
            throw new ArgumentException(
                $"The masks are of {Images} images with {Length} tokens, but '{name}' has {batch.shape[0]} rows " +
                $"(a multiple of {Images} is needed) with {batch.shape[tokenAxis]} tokens.",
                name);
        }

        return batch.shape[0] / Images;
    }

    private static void Check(Tensor masks, int? present)
    {
        if (masks.dim() != 2 || (present ?? masks.shape[0]) != masks.shape[0])
        {
            throw new ArgumentException(
                $"Masks of shape (images, tokens), and one 'present' per image, are needed; the masks have shape " +
                $"({string.Join(", ", masks.shape)})" + (present is null ? "." : $" and there are {present} 'present'."),
                nameof(masks));
        }
    }

    private static long[][] OnHost(Tensor labels)
    {
        var all = DeviceTransfer.Fetch(labels).contiguous().data<long>().ToArray();
        var length = (int)labels.shape[1];
        return [.. Enumerable.Range(0, (int)labels.shape[0]).Select(image => all.AsSpan(image * length, length).ToArray())];
    }
}
