using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Regional feature harmonization, as patch blending: every token of a subject is blended with the tokens of the same subject
/// that are most like it in the other images (Gaur, Zolfaghari, Brox, arXiv 2508.03735).</summary>
public static class Harmonization
{
    // Similarities are formed a block of rows at a time, at most this many at once.
    private const long Block = 1 << 22;

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
        var blended = hidden.clone();
        for (var repeat = 0L; repeat < repeats; repeat++)
        {
            for (var subject = 0; subject < subjects.Subjects; subject++)
            {
                using var one = NewDisposeScope();
                Blend(repeat * subjects.Images, subject);
            }
        }

        return blended.MoveToOuterDisposeScope();

        void Blend(long firstRow, int subject)
        {
            var regions = Enumerable.Range(0, subjects.Images)
                .Select(image => (Row: firstRow + image, Tokens: subjects.Of(image, subject)))
                .Where(region => region.Tokens.shape[0] > 0)
                .Select(region => (
                    region.Row,
                    region.Tokens,
                    Unit: Unit(features[region.Row].index_select(0, region.Tokens)),
                    Hidden: hidden[region.Row].index_select(0, region.Tokens)))
                .ToList();
            if (regions.Count < 2)
            {
                return;
            }

            foreach (var region in regions)
            {
                using var one = NewDisposeScope();
                var others = regions.Where(other => other.Row != region.Row).ToList();
                var matches = others.Select(other => Best(region.Unit, other.Unit)).ToList();

                var similarity = stack(matches.Select(match => match.Similarity), 1);
                var counts = similarity > threshold;
                var weights = (similarity / temperature).masked_fill(counts.logical_not(), double.NegativeInfinity)
                    .softmax(1).to_type(hidden.dtype);

                // A token without a match has no weights (0 / 0), and keeps its own value below.
                var mix = region.Hidden * (1 - alpha);
                for (var other = 0; other < others.Count; other++)
                {
                    mix.addcmul_(others[other].Hidden.index_select(0, matches[other].Index), weights.narrow(1, other, 1), alpha);
                }

                blended[region.Row].index_copy_(0, region.Tokens, where(counts.any(1, keepdim: true), mix, region.Hidden));
            }
        }
    }

    private static Tensor Unit(Tensor x)
    {
        // Half precision cannot tell close matches apart.
        var exact = x.dtype == ScalarType.Float64 ? x : x.to_type(ScalarType.Float32);
        return exact / exact.norm(-1, keepdim: true).clamp_min(1e-12);
    }

    /// <summary>For each row of <paramref name="from"/> the most similar row of <paramref name="to"/>, the first if several are.</summary>
    private static (Tensor Similarity, Tensor Index) Best(Tensor from, Tensor to)
    {
        var similarities = new List<Tensor>();
        var indices = new List<Tensor>();
        foreach (var rows in from.split(Math.Max(1, Block / to.shape[0])))
        {
            using var block = NewDisposeScope();
            var (similarity, index) = rows.matmul(to.t()).max(1);
            similarities.Add(similarity.MoveToOuterDisposeScope());
            indices.Add(index.MoveToOuterDisposeScope());
        }

        return (cat(similarities), cat(indices));
    }
}
