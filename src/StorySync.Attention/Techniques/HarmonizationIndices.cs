using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Represents the indices by which harmonization gathers subjects' tokens, padded so that subjects of similar size are one
/// batch.</summary>
internal sealed class HarmonizationIndices : IDisposable
{
    // Subjects in one batch may take this many times the work of the same subjects one by one, and any number of similarities that a device
    // has formed before it could begin with the next batch.
    private const double Slack = 1.5;
    private const double Quick = 1 << 22;

    // Far below every logit.
    private const float Last = -1e30f;

    private HarmonizationIndices(IReadOnlyList<Batch> batches) => Batches = batches;

    /// <summary>Gets the batches.</summary>
    public IReadOnlyList<Batch> Batches { get; }

    /// <summary>Creates the indices of subjects.</summary>
    /// <param name="subjects">Where the subjects' tokens are.</param>
    /// <param name="of">The subjects; in each an image that has it reads one that has it.</param>
    /// <param name="rows">Where the images are among the rows.</param>
    /// <param name="device">The device.</param>
    public static HarmonizationIndices Of(SubjectTokens subjects, IEnumerable<int> of, ImageRows rows, Device device)
    {
        using var scope = NewDisposeScope();
        var forms = of.Select(subject => new Form(subjects, subject)).ToList();
        return new([.. Together(forms).Select(batch => Make(subjects, batch, rows, device))]);
    }

    public void Dispose()
    {
        foreach (var batch in Batches)
        {
            batch.Dispose();
        }
    }

    /// <summary>Subjects that go together, the largest first.</summary>
    private static IEnumerable<IReadOnlyList<Form>> Together(IEnumerable<Form> forms)
    {
        var open = new List<Form>();
        foreach (var form in forms.OrderByDescending(form => Work([form])))
        {
            if (open.Count > 0 && Work([.. open, form]) > Math.Max(Quick, Slack * open.Append(form).Sum(one => Work([one]))))
            {
                yield return open;
                open = [];
            }

            open.Add(form);
        }

        yield return open;

        static double Work(IReadOnlyList<Form> batch) => (double)batch.Count * batch.Max(form => form.Readers.Length)
            * batch.Max(form => form.ReaderTokens) * batch.Max(form => form.Sources.Length) * batch.Max(form => form.SourceTokens);
    }

    private static Batch Make(SubjectTokens subjects, IReadOnlyList<Form> batch, ImageRows rows, Device device)
    {
        using var scope = NewDisposeScope();
        var (kept, keptImages) = (subjects.Kept, subjects.Kept?.Images ?? 0);
        var groups = (int)rows.Repeats * batch.Count;
        var (readers, sources) = (batch.Max(form => form.Readers.Length), batch.Max(form => form.Sources.Length));
        var isSame = batch.All(form => form.Readers.SequenceEqual(form.Sources));
        long[][] parts =
        [
            Places(form => form.Readers, readers, batch.Max(form => form.ReaderTokens), 0),
            isSame ? [] : Places(form => form.Sources, sources, batch.Max(form => form.SourceTokens), rows.Repeats * (kept?.Count ?? 0)),
            [.. Enumerable.Range(0, groups).Select(group => (long)group)],
            [.. Enumerable.Range(0, sources).Select(source => (long)source)],
            [.. from repeat in Enumerable.Range(0, (int)rows.Repeats)
                from form in batch
                from reader in Padded(form.Readers, readers)
                from source in Enumerable.Range(0, sources)
                select source < form.Sources.Length && subjects.Reads(reader, form.Sources[source], form.Subject) ? 1L : 0],
        ];
        var sent = DeviceTransfer.Send(tensor([.. parts.SelectMany(part => part)]), device)
            .split([.. parts.Select(part => part.LongLength)]);
        var places = sent[0].view(groups, readers, -1);
        return new(
            places,
            isSame ? places : sent[1].view(groups, sources, -1),
            sent[2].view(groups, 1, 1, 1),
            sent[3],
            sent[4].view(groups, readers, 1, sources).to_type(ScalarType.Float32).log(),
            sent[3].narrow(0, 0, 1).to_type(ScalarType.Float32).Plus(Last));

        long[] Places(Func<Form, int[]> images, int count, int most, long before) =>
        [
            .. from repeat in Enumerable.Range(0, (int)rows.Repeats)
               from form in batch
               from image in Padded(images(form), count)
               let tokens = subjects.Of(image, form.Subject)
               from token in Enumerable.Range(0, most)
               let own = tokens[token < tokens.Length ? token : 0]
               select image < keptImages
                   ? (repeat * kept!.Count) + kept.Rows[(image * subjects.Length) + own]
                   : before + (rows.Of(repeat, image - keptImages) * subjects.Length) + own,
        ];

        static IEnumerable<int> Padded(int[] images, int count) => images.Concat(Enumerable.Repeat(images[0], count - images.Length));
    }

    /// <summary>Represents subjects that are blended together. A group is a subject in one repeat of the images.</summary>
    /// <param name="Readers">Where the tokens that are blended are among all tokens of all rows, (groups, images, tokens). Images that have
    /// fewer tokens repeat their first, subjects in fewer images their first.</param>
    /// <param name="Sources">Where the tokens are that they are compared with, (groups, images, tokens), among the kept ones and, after
    /// them, all of all rows; the same tensor where the images are the same.</param>
    /// <param name="Groups">The groups, counted, (groups, 1, 1, 1).</param>
    /// <param name="Columns">The sources, counted, (sources).</param>
    /// <param name="Unread">0 where a reader reads a source and −∞ where not, (groups, readers, 1, sources).</param>
    /// <param name="Alone">The logit of a token as its own match, (1).</param>
    internal sealed record Batch(Tensor Readers, Tensor Sources, Tensor Groups, Tensor Columns, Tensor Unread, Tensor Alone) : IDisposable
    {
        private readonly Tensor[] all =
        [
            .. ((Tensor[])[Readers, .. ReferenceEquals(Sources, Readers) ? (Tensor[])[] : [Sources], Groups, Columns, Unread, Alone])
                .Select(tensor => tensor.DetachFromDisposeScope()),
        ];

        public void Dispose()
        {
            foreach (var tensor in all)
            {
                tensor.Dispose();
            }
        }
    }

    private sealed class Form
    {
        public Form(SubjectTokens subjects, int subject)
        {
            int[] images = [.. subjects.ImagesOf(subject)];
            Subject = subject;
            Readers = [.. images.Where(image => images.Any(other => subjects.Reads(image, other, subject)))];
            Sources = [.. images.Where(other => images.Any(image => subjects.Reads(image, other, subject)))];
            (ReaderTokens, SourceTokens) = (Most(Readers), Most(Sources));

            int Most(int[] of) => of.Max(image => subjects.Of(image, subject).Length);
        }

        public int Subject { get; }

        public int[] Readers { get; }

        public int[] Sources { get; }

        public int ReaderTokens { get; }

        public int SourceTokens { get; }
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
