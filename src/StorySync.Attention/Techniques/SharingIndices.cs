using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Represents the indices by which sharing gathers who reads and what is read, padded so that readings of similar size are one
/// call.</summary>
internal sealed class SharingIndices : IDisposable
{
    // Readings in one call may take this many times the work of the same readings one by one: a launch costs more than some padding.
    private const double Slack = 1.5;

    // Attention's kernels want rows of the bias aligned.
    private const int Alignment = 8;

    private readonly List<Tensor> tensors = [];

    private SharingIndices()
    {
    }

    /// <summary>Gets the calls.</summary>
    public List<Call> Calls { get; } = [];

    /// <summary>Makes indices into (rows · tokens).</summary>
    /// <param name="readings">Who reads what.</param>
    /// <param name="queries">Queries of a row.</param>
    /// <param name="keys">Keys of a row.</param>
    /// <param name="rows">Where the images are among the rows.</param>
    /// <param name="dtype">The type of the logits.</param>
    /// <param name="device">The device.</param>
    /// <param name="apart">Whether every reading is a call of its own, without padding.</param>
    /// <param name="kept">The first images, where these are not in the batch: the tokens that are kept of them, repeat by repeat, come
    /// before those of the rows in what is read.</param>
    public static SharingIndices Of(
        IReadOnlyList<Reading> readings, int queries, int keys, ImageRows rows, ScalarType dtype, Device device, bool apart,
        KeptRows? kept = null)
    {
        using var scope = NewDisposeScope();
        var result = new SharingIndices();
        var forms = Together(readings, keys, apart).Select(batch => new Form(batch, queries, keys, rows, kept)).ToList();

        // One copy holds the indices of all calls, and one their biases.
        var numbers = new long[forms.Sum(form => form.Size)];
        var biases = new double[forms.Sum(form => form.BiasSize)];
        var (at, atBias) = (0, 0);
        foreach (var form in forms)
        {
            form.Fill(numbers.AsSpan(at, form.Size), biases.AsSpan(atBias, form.BiasSize));
            (at, atBias) = (at + form.Size, atBias + form.BiasSize);
        }

        var sent = DeviceTransfer.Send(tensor(numbers), device);
        var sentBiases = biases.Length == 0 ? null : DeviceTransfer.Send(tensor(biases).to_type(dtype), device);
        (at, atBias) = (0, 0);
        foreach (var form in forms)
        {
            result.Calls.Add(new(
                form.Groups,
                Part(form.Groups * form.Queries),
                Part(form.Groups * form.Keys),
                Part(form.CrossImage),
                Part(form.Own),
                form.BiasSize == 0 ? null : result.Keep(sentBiases!.narrow(0, atBias, form.BiasSize).view(form.Groups, 1, 1, form.Keys))));
            atBias += form.BiasSize;
        }

        return result;

        Tensor Part(int count)
        {
            var part = result.Keep(sent.narrow(0, at, count));
            at += count;
            return part;
        }
    }

    public void Dispose() => tensors.ForEach(tensor => tensor.Dispose());

    private Tensor Keep(Tensor tensor)
    {
        tensors.Add(tensor.DetachFromDisposeScope());
        return tensor;
    }

    /// <summary>Readings that go together, the largest first.</summary>
    private static IEnumerable<IReadOnlyList<Reading>> Together(IReadOnlyList<Reading> readings, int keys, bool apart)
    {
        var open = new List<Reading>();
        var alone = 0.0;
        foreach (var reading in readings.OrderByDescending(reading => apart ? 0 : Work([reading])))
        {
            if (open.Count > 0 && (apart || Work([.. open, reading]) > Slack * (alone + Work([reading]))))
            {
                yield return open;
                (open, alone) = ([], 0);
            }

            open.Add(reading);
            alone += Work([reading]);
        }

        yield return open;

        double Work(IReadOnlyList<Reading> batch) => (double)batch.Count
            * batch.Max(reading => reading.Queries.Length) * (keys + batch.Max(reading => reading.CrossImageCount));
    }

    /// <summary>Represents readings that attend in one call.</summary>
    /// <param name="Groups">The number of readings, each counted once for every repeat of the images.</param>
    /// <param name="Queries">Who reads, (groups · queries); a reading with fewer repeats its first.</param>
    /// <param name="Keys">What is read, (groups · keys): the reader's own image, then the cross-image tokens, then padding.</param>
    /// <param name="CrossImage">Where the cross-image tokens of the first reading are in their own sequences.</param>
    /// <param name="Own">Where its image's own tokens of the subjects are that it reads.</param>
    /// <param name="Bias">Added to the logits, (groups, 1, 1, keys); null for nothing.</param>
    internal sealed record Call(long Groups, Tensor Queries, Tensor Keys, Tensor CrossImage, Tensor Own, Tensor? Bias);

    private sealed class Form
    {
        private readonly IReadOnlyList<Reading> batch;
        private readonly int queryLength;
        private readonly int length;
        private readonly ImageRows rows;
        private readonly KeptRows? kept;
        private readonly bool isBiased;

        public Form(IReadOnlyList<Reading> batch, int queryLength, int length, ImageRows rows, KeptRows? kept)
        {
            (this.batch, this.queryLength, this.length, this.rows, this.kept) = (batch, queryLength, length, rows, kept);
            var most = batch.Max(reading => reading.CrossImageCount);
            isBiased = batch.Any(reading =>
                reading.CrossImageCount < most || reading.Words.Count > 0 || reading.CrossImage.Any(part => part.Bias != 0));
            Keys = isBiased ? (length + most + Alignment - 1) / Alignment * Alignment : length + most;
            Queries = batch.Max(reading => reading.Queries.Length);
            Groups = batch.Count * (int)rows.Repeats;
        }

        public int Groups { get; }

        public int Queries { get; }

        public int Keys { get; }

        public int CrossImage => batch[0].CrossImageCount;

        public int Own => batch[0].Own.Length;

        public int BiasSize => isBiased ? Groups * Keys : 0;

        public int Size => (Groups * (Queries + Keys)) + CrossImage + Own;

        public void Fill(Span<long> numbers, Span<double> bias)
        {
            var (at, keys) = (0, Groups * Queries);
            var (keptImages, keptTokens) = kept is null ? (0, 0) : (kept.Images, rows.Repeats * kept.Count);
            for (var repeat = 0L; repeat < rows.Repeats; repeat++)
            {
                var first = keptTokens + (rows.Of(repeat, -keptImages) * length);
                foreach (var reading in batch)
                {
                    var row = rows.Of(repeat, reading.Image - keptImages);
                    for (var i = 0; i < Queries; i++)
                    {
                        numbers[at++] = (row * queryLength) + reading.Queries[i < reading.Queries.Length ? i : 0];
                    }

                    var end = keys + Keys;
                    for (var i = 0; i < length; i++)
                    {
                        numbers[keys++] = keptTokens + (row * length) + i;
                    }

                    foreach (var token in reading.CrossImage.SelectMany(part => part.Tokens))
                    {
                        numbers[keys++] = token < keptImages * length ? (repeat * kept!.Count) + kept.Rows[token] : first + token;
                    }

                    numbers[keys..end].Fill(keptTokens + (row * length));
                    keys = end;
                }
            }

            foreach (var token in batch[0].CrossImage.SelectMany(part => part.Tokens))
            {
                numbers[keys++] = token % length;
            }

            foreach (var token in batch[0].Own)
            {
                numbers[keys++] = token;
            }

            for (var group = 0; isBiased && group < Groups; group++)
            {
                var ofGroup = bias.Slice(group * Keys, Keys);
                var reading = batch[group % batch.Count];
                foreach (var word in reading.Words)
                {
                    ofGroup[word.Token] += word.Bias;
                }

                var crossImage = length;
                foreach (var part in reading.CrossImage)
                {
                    ofGroup.Slice(crossImage, part.Tokens.Length).Fill(part.Bias);
                    crossImage += part.Tokens.Length;
                }

                ofGroup[crossImage..].Fill(double.NegativeInfinity);
            }
        }
    }
}
