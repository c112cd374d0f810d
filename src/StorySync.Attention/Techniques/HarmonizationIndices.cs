using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Represents the indices by which harmonization gathers a subject's tokens, padded to the same number in every image.</summary>
internal sealed class HarmonizationIndices : IDisposable
{
    private HarmonizationIndices(Tensor readers, Tensor sources, Tensor offsets, Tensor unread)
    {
        Readers = readers.DetachFromDisposeScope();
        Sources = sources.DetachFromDisposeScope();
        Offsets = offsets.DetachFromDisposeScope();
        Unread = unread.DetachFromDisposeScope();
    }

    /// <summary>Gets where the tokens that are blended are among all tokens of all rows, (repeats, images, tokens); images that have fewer
    /// repeat their first.</summary>
    public Tensor Readers { get; }

    /// <summary>Gets where the tokens are that they are compared with, (repeats, images, tokens), among the kept ones and, after them, all
    /// of all rows; the same tensor where the images are the same.</summary>
    public Tensor Sources { get; }

    /// <summary>Gets where each source's tokens begin among those that are gathered, (repeats, 1, 1, sources).</summary>
    public Tensor Offsets { get; }

    /// <summary>Gets 0 where a reader reads a source and ∞ where not, (readers, 1, sources).</summary>
    public Tensor Unread { get; }

    /// <summary>Creates the indices of one subject.</summary>
    /// <param name="subjects">Where the subjects' tokens are.</param>
    /// <param name="subject">The subject; an image that has it reads one that has it.</param>
    /// <param name="rows">Where the images are among the rows.</param>
    /// <param name="device">The device.</param>
    public static HarmonizationIndices Of(SubjectTokens subjects, int subject, ImageRows rows, Device device)
    {
        using var scope = NewDisposeScope();
        int[] images = [.. subjects.ImagesOf(subject)];
        int[] readers = [.. images.Where(image => images.Any(other => subjects.Reads(image, other, subject)))];
        int[] sources = [.. images.Where(other => images.Any(image => subjects.Reads(image, other, subject)))];
        var (kept, keptImages) = (subjects.Kept, subjects.Kept?.Images ?? 0);
        long[][] parts =
        [
            Places(readers, 0),
            readers.SequenceEqual(sources) ? [] : Places(sources, rows.Repeats * (kept?.Count ?? 0)),
            [.. Enumerable.Range(0, (int)rows.Repeats * sources.Length).Select(region => (long)region * Most(sources))],
            [.. readers.SelectMany(image => sources.Select(other => subjects.Reads(image, other, subject) ? 1L : 0))],
        ];
        var sent = DeviceTransfer.Send(tensor([.. parts.SelectMany(part => part)]), device)
            .split([.. parts.Select(part => part.LongLength)]);
        var places = sent[0].view(rows.Repeats, readers.Length, -1);
        return new(
            places,
            parts[1].Length == 0 ? places : sent[1].view(rows.Repeats, sources.Length, -1),
            sent[2].view(rows.Repeats, 1, 1, sources.Length),
            sent[3].view(readers.Length, 1, sources.Length).to_type(ScalarType.Float32).log().neg());

        int Most(int[] of) => of.Max(image => subjects.Of(image, subject).Length);

        long[] Places(int[] of, long before) => [.. from repeat in Enumerable.Range(0, (int)rows.Repeats)
                                       from image in of
                                       let tokens = subjects.Of(image, subject)
                                       from token in Enumerable.Range(0, Most(of))
                                       let own = tokens[token < tokens.Length ? token : 0]
                                       select image < keptImages
                                           ? (repeat * kept!.Count) + kept.Rows[(image * subjects.Length) + own]
                                           : before + (rows.Of(repeat, image - keptImages) * subjects.Length) + own];
    }

    public void Dispose()
    {
        Readers.Dispose();
        Sources.Dispose();
        Offsets.Dispose();
        Unread.Dispose();
    }
}

/// <summary>Represents where a subject's tokens are in all images, for the kernel that compares them where they lie.</summary>
/// <param name="Places">As indices into (images · length), image by image; of those images that are in the batch.</param>
/// <param name="Kept">The rows of those in kept images, which come first; null where none are kept.</param>
/// <param name="Counts">How many are in each image that has the subject.</param>
/// <param name="Reads">Whether each of these images reads each of them.</param>
internal sealed record SubjectPlaces(Tensor Places, Tensor? Kept, int[] Counts, bool[] Reads) : IDisposable
{
    public static SubjectPlaces Of(SubjectTokens subjects, int subject, Device device)
    {
        using var scope = NewDisposeScope();
        int[] images = [.. subjects.ImagesOf(subject)];
        var kept = subjects.Kept;
        var first = kept?.Images ?? 0;
        return new(
            Send(images.Where(image => image >= first).SelectMany(image =>
                subjects.Of(image, subject).Select(token => ((long)(image - first) * subjects.Length) + token))),
            kept is null ? null : Send(images.Where(image => image < first).SelectMany(image =>
                subjects.Of(image, subject).Select(token => (long)kept.Rows[(image * subjects.Length) + token]))),
            [.. images.Select(image => subjects.Of(image, subject).Length)],
            [.. images.SelectMany(image => images.Select(other => subjects.Reads(image, other, subject)))]);

        Tensor Send(IEnumerable<long> places) => DeviceTransfer.Send(tensor([.. places]), device).DetachFromDisposeScope();
    }

    public void Dispose()
    {
        Places.Dispose();
        Kept?.Dispose();
    }
}
