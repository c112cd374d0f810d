using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Represents which tokens of a layer's sequence belong to which subject, image by image: the indices that sharing and
/// harmonization gather by. Made once per grid whenever the masks change; only here is the host told how many tokens a mask has.</summary>
/// <remarks>Holds tensors: dispose it.</remarks>
public sealed class SubjectTokens : IDisposable
{
    private readonly int[][][] tokens;
    private readonly int[][] background;
    private readonly Func<int, int, bool> takesPart;
    private readonly Func<int, int, bool> reads;
    private readonly Device device;
    private readonly Dictionary<bool, IReadOnlyList<Reading>> readings = [];
    private readonly Dictionary<bool, IReadOnlyList<TokenGroup>> groups = [];
    private readonly Dictionary<object, IDisposable> indices = [];

    internal SubjectTokens(
        long[][] labels, int subjects, Func<int, int, bool>? present, int textTokens, Device device, Func<int, int, bool>? reads = null)
    {
        Images = labels.Length;
        Subjects = subjects;
        TextTokens = textTokens;
        Length = (labels.FirstOrDefault()?.Length ?? 0) + textTokens;
        takesPart = present ?? ((_, _) => true);
        this.reads = reads ?? ((_, _) => true);
        this.device = device;
        tokens = [.. labels.Select((ofImage, image) => Enumerable.Range(0, subjects)
            .Select(subject => takesPart(image, subject) ? Where(ofImage, label => label == subject + 1) : [])
            .ToArray())];
        background = [.. labels.Select((ofImage, image) =>
            Where(ofImage, label => label < 1 || label > subjects || tokens[image][label - 1].Length == 0))];

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
    /// <param name="reads">Whether an image (first argument, from 0) reads another (second): only then does it take foreign tokens and
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
    /// <param name="reads">Whether an image (first argument, from 0) reads another (second): only then does it take foreign tokens and
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

    /// <summary>Gets where a subject's tokens are in an image's sequence.</summary>
    internal int[] Of(int image, int subject) => tokens[image][subject];

    /// <summary>Gets the images that have tokens of a subject.</summary>
    internal IEnumerable<int> ImagesOf(int subject) => Enumerable.Range(0, Images).Where(image => tokens[image][subject].Length > 0);

    /// <summary>Whether any image reads tokens of a subject that it has too.</summary>
    internal bool IsRead(int subject) => ImagesOf(subject).Any(image => ImagesOf(subject).Any(other => Reads(image, other)));

    /// <summary>Whether an image reads another.</summary>
    internal bool Reads(int image, int other) => image != other && reads(image, other);

    /// <summary>Gets who reads tokens of other images, and which: image by image.</summary>
    /// <param name="subjectQueriesOnly">Whether only subjects' tokens read.</param>
    internal IReadOnlyList<Reading> Readings(bool subjectQueriesOnly)
    {
        if (!readings.TryGetValue(subjectQueriesOnly, out var found))
        {
            found = [.. Enumerable.Range(0, Images).SelectMany(image => ReadingsOf(image, subjectQueriesOnly))];
            readings.Add(subjectQueriesOnly, found);
        }

        return found;
    }

    /// <summary>Gets all tokens by what they read: <see cref="Readings"/>, and for each image those that read nothing else.</summary>
    internal IReadOnlyList<TokenGroup> Groups(bool subjectQueriesOnly)
    {
        if (!groups.TryGetValue(subjectQueriesOnly, out var found))
        {
            var ofReaders = Readings(subjectQueriesOnly);
            found = [.. Enumerable.Range(0, Images).SelectMany(image =>
            {
                var readers = ofReaders.Where(reading => reading.Image == image).ToList();
                var rest = Enumerable.Range(0, Length).Except(readers.SelectMany(reading => reading.Queries));
                return readers.Select(reading => new TokenGroup(image, reading.Queries, reading.Foreign)).Append(new(image, [.. rest], []));
            })];
            groups.Add(subjectQueriesOnly, found);
        }

        return found;
    }

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

    private IEnumerable<Reading> ReadingsOf(int image, bool subjectQueriesOnly)
    {
        int[][] foreign = [.. Enumerable.Range(0, Subjects).Select(subject => ForeignTo(image, subject))];
        for (var subject = 0; subject < Subjects; subject++)
        {
            var own = tokens[image][subject];
            if (own.Length > 0 && foreign[subject].Length > 0)
            {
                yield return new(image, subject, own, foreign[subject], own);
            }
        }

        if (!subjectQueriesOnly && background[image].Length > 0 && foreign.Any(read => read.Length > 0))
        {
            int[] all = [.. foreign.SelectMany(read => read)];
            yield return new(image, Reading.OfBackground, background[image], all, [.. tokens[image].SelectMany(own => own)]);
        }
    }

    /// <summary>Where a subject's tokens are in the images that an image reads, as indices into (images · length).</summary>
    private int[] ForeignTo(int image, int subject) => takesPart(image, subject)
        ? [.. Enumerable.Range(0, Images).Where(other => Reads(image, other))
            .SelectMany(other => tokens[other][subject].Select(token => (other * Length) + token))]
        : [];
}

/// <summary>Represents tokens of an image that read other images' tokens.</summary>
/// <param name="Image">The image.</param>
/// <param name="Subject">The subject that they belong to, or <see cref="OfBackground"/>.</param>
/// <param name="Queries">The tokens that read, at least one.</param>
/// <param name="Foreign">What they read, as indices into (images · length), at least one.</param>
/// <param name="Home">The image's own tokens of the subjects that they read.</param>
internal sealed record Reading(int Image, int Subject, int[] Queries, int[] Foreign, int[] Home)
{
    /// <summary>The subject of tokens that belong to none.</summary>
    public const int OfBackground = -1;
}
