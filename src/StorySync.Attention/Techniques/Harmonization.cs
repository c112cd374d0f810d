using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Provides regional feature harmonization, as patch blending: every token of a subject is blended with the tokens of the same
/// subject that are most like it in the other images (Gaur, Zolfaghari, Brox, arXiv 2508.03735).</summary>
public static class Harmonization
{
    // Similarities are formed a block of rows at a time, at most this many in a block; on a device, where many small blocks cost more, the
    // other.
    private const long Block = 1 << 22;
    private const long BlockOnDevice = 1 << 25;

    /// <summary>Blends. All reads are of the unblended tokens, so the order of the images does not matter.</summary>
    /// <param name="features">What similarity (cosine) is measured on, (rows, tokens, width). The rows are the images in order, once or
    /// several times over (guidance halves), each time by itself.</param>
    /// <param name="subjects">Where the subjects' tokens are.</param>
    /// <param name="hidden">What is blended, (rows, tokens, any width); null for the features themselves.</param>
    /// <param name="alpha">The share of the other images' tokens in the result, 0 … 1.</param>
    /// <param name="threshold">Matches are blended if they are more similar than this, −1 … 1; above 1 none is.</param>
    /// <param name="temperature">κ &gt; 0: matches are weighted by softmax(similarity / κ) over the images.</param>
    /// <returns>The blended tokens, of the shape of <paramref name="hidden"/>.</returns>
    /// <exception cref="ArgumentException">The tensors do not have the subjects' images and tokens.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    public static Tensor Apply(
        Tensor features,
        SubjectTokens subjects,
        Tensor? hidden = null,
        double alpha = 0.5,
        double threshold = 0.5,
        double temperature = 0.1)
    {
        ArgumentNullException.ThrowIfNull(features);
        ArgumentNullException.ThrowIfNull(subjects);
        Require.InRange(alpha, 0, 1, nameof(alpha));
        Require.InRange(threshold, -1, double.MaxValue, nameof(threshold));
        Require.InRange(temperature, double.Epsilon, double.MaxValue, nameof(temperature));
        hidden ??= features;
        var repeats = subjects.RepeatsIn(features, tokenAxis: 1, nameof(features));
        subjects.RepeatsIn(hidden, tokenAxis: 1, nameof(hidden));

        using var scope = NewDisposeScope();
        var blended = hidden.contiguous().clone();
        var compared = ReferenceEquals(features, hidden) ? blended : features;
        Blend(
            blended, compared, subjects, [.. Enumerable.Range(0, subjects.Subjects)], new(repeats, subjects.Images), alpha, threshold,
            temperature);
        return blended.MoveToOuterDisposeScope();
    }

    /// <summary>Blends subjects' tokens in place. Subjects have no token in common: none reads what another has blended.</summary>
    /// <param name="hidden">What is blended, (rows, tokens, width); contiguous.</param>
    /// <param name="features">What similarity is measured on; may be the same tensor.</param>
    /// <param name="subjects">Where the subjects' tokens are.</param>
    /// <param name="of">The subjects.</param>
    /// <param name="rows">Where the images are among the rows.</param>
    /// <param name="alpha">The share of the other images' tokens.</param>
    /// <param name="threshold">Matches are blended if they are more similar than this.</param>
    /// <param name="temperature">κ.</param>
    /// <param name="kept">The tokens of the subjects' kept images, (tokens, width) for each repeat; null where none are kept.</param>
    internal static void Blend(
        Tensor hidden, Tensor features, SubjectTokens subjects, IReadOnlyList<int> of, ImageRows rows, double alpha, double threshold,
        double temperature, IReadOnlyList<Tensor>? kept = null)
    {
        int[] read = alpha == 0 ? [] : [.. of.Where(subjects.IsRead)];
        if (read.Length == 0)
        {
            return;
        }

        using var scope = NewDisposeScope();
        var all = hidden.view(-1, hidden.shape[2]);
        var compared = ReferenceEquals(features, hidden) ? all : features.reshape(-1, features.shape[2]);
        if (compared.dtype != ScalarType.Float64 && BlendKernel.Supports(all, all))
        {
            foreach (var subject in read)
            {
                InPlace(subjects.Indices((nameof(SubjectPlaces), subject), device => SubjectPlaces.Of(subjects, subject, device)));
            }
        }
        else
        {
            foreach (var batch in subjects.Indices(
                (nameof(HarmonizationIndices), read[0], read.Length, rows),
                device => HarmonizationIndices.Of(subjects, read, rows, device)).Batches)
            {
                Gathered(batch);
            }
        }

        void InPlace(SubjectPlaces subject)
        {
            for (var repeat = 0; repeat < rows.Repeats; repeat++)
            {
                using var half = NewDisposeScope();
                var places = subject.Places.Plus(rows.Of(repeat, 0) * subjects.Length);
                var own = all.index_select(0, places);
                var before = kept?[repeat].index_select(0, subject.Kept!);
                var tokens = before is null ? own : cat([before, own]);
                var units = Unit(before is null ? compared.index_select(0, places) : tokens);
                var blend = BlendKernel.Apply(units, tokens, subject.Counts, subject.Reads, alpha, threshold, temperature);
                all.index_copy_(0, places, before is null ? blend : blend.narrow(0, before.shape[0], own.shape[0]));
            }
        }

        void Gathered(HarmonizationIndices.Batch subject)
        {
            var (own, units) = Tokens(all, subject.Readers);
            var (others, otherUnits) = ReferenceEquals(subject.Sources, subject.Readers) ? (own, units)
                : Tokens(kept is null ? all : cat([.. kept, all]), subject.Sources);
            var (images, tokens) = (own.shape[1], own.shape[2]);
            var block = all.device_type == DeviceType.CPU ? Block : BlockOnDevice;
            var atOnce = Math.Max(1, block / (images * others.shape[0] * others.shape[1] * others.shape[2]));
            for (var first = 0L; first < tokens; first += atOnce)
            {
                using var part = NewDisposeScope();
                var count = Math.Min(atOnce, tokens - first);
                var some = own.narrow(2, first, count);
                var mixed = Mixed(some, units.narrow(2, first, count), others, otherUnits, subject, threshold, temperature);
                all.index_copy_(0, subject.Readers.narrow(2, first, count).flatten(), some.lerp(mixed, alpha).flatten(0, 2));
            }
        }

        (Tensor Tokens, Tensor Units) Tokens(Tensor from, Tensor places)
        {
            var tokens = Gather(from, places);
            return (tokens, Unit(ReferenceEquals(compared, all) ? tokens : Gather(compared, places)));
        }
    }

    /// <summary>Mixes, for some of the subjects' tokens, those most like them in the images that theirs read; a token without a match stays
    /// what it is.</summary>
    /// <returns>(groups, images, tokens, width).</returns>
    private static Tensor Mixed(
        Tensor own, Tensor units, Tensor others, Tensor otherUnits, HarmonizationIndices.Batch subject, double threshold,
        double temperature)
    {
        var (images, tokens, width, sources) = (own.shape[1], own.shape[2], own.shape[3], others.shape[1]);
        var (best, match) = units.flatten(1, 2).bmm(otherUnits.flatten(1, 2).transpose(1, 2))
            .unflatten(2, [sources, others.shape[2]]).unflatten(1, [images, tokens]).max(-1);
        var logits = subject.Unread.Plus(best.Threshold(threshold, double.NegativeInfinity), 1 / temperature);

        // A token is its own match, which counts where there is no other.
        var alone = subject.Alone.expand([.. logits.shape[..^1], 1]);
        var weights = cat([logits, alone], -1).softmax(-1).to_type(own.dtype);
        var matches = others.index(
            TensorIndex.Tensor(subject.Groups), TensorIndex.Tensor(subject.Columns), TensorIndex.Tensor(match)).view(-1, sources, width);
        var mixed = weights.narrow(-1, 0, sources).reshape(-1, 1, sources).bmm(matches).view(own.shape);
        return mixed.lerp(own, weights.narrow(-1, sources, 1));
    }

    /// <summary>(groups, images, tokens, width).</summary>
    private static Tensor Gather(Tensor all, Tensor places) =>
        all.index(TensorIndex.Tensor(places.flatten())).view([.. places.shape, -1]);

    private static Tensor Unit(Tensor x)
    {
        // Half precision cannot tell close matches apart.
        var exact = x.dtype == ScalarType.Float64 ? x : x.to_type(ScalarType.Float32);
        return exact / exact.norm(-1, keepdim: true).ClampMin(1e-12);
    }
}
