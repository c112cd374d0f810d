using StorySync.Kernels;
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
        var blended = hidden.clone().contiguous();
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
                .ToList();
            if (regions.Count < 2)
            {
                return;
            }

            // The subject's tokens in all images, one image behind the other.
            var places = cat([.. regions.Select(region => region.Tokens + (region.Row * subjects.Length))]);
            var units = Unit(features.reshape(-1, features.shape[2]).index_select(0, places));
            var own = hidden.reshape(-1, hidden.shape[2]).index_select(0, places);
            long[] counts = [.. regions.Select(region => region.Tokens.shape[0])];
            if (BlendKernel.Takes(units, own))
            {
                var blend = BlendKernel.Apply(units, own, Array.ConvertAll(counts, count => (int)count), alpha, threshold, temperature);
                blended.view(-1, hidden.shape[2]).index_copy_(0, places, blend);
                return;
            }

            var results = new List<Tensor>();
            for (long first = 0, rows = Math.Max(1, Block / places.shape[0]); first < places.shape[0]; first += rows)
            {
                results.Add(Mix(units, own, counts, first, Math.Min(rows, places.shape[0] - first)));
            }

            blended.view(-1, hidden.shape[2]).index_copy_(0, places, cat(results));
        }

        // Blends some of the tokens with those most like them, image by image.
        Tensor Mix(Tensor units, Tensor own, long[] counts, long first, long rows)
        {
            using var block = NewDisposeScope();
            var (best, index) = Best(units.narrow(0, first, rows).matmul(units.t()), counts);
            var images = arange(counts.Length, ScalarType.Int64, own.device);
            var image = images.repeat_interleave(tensor(counts, device: own.device)).narrow(0, first, rows);
            var matches = (best > threshold).logical_and_(image.unsqueeze(1) != images);
            var weights = (best / temperature).masked_fill_(matches.logical_not(), double.NegativeInfinity).softmax(1).to_type(own.dtype);

            // A token without a match has no weights (0 / 0), and keeps its own value below.
            var mine = own.narrow(0, first, rows);
            var mix = mine * (1 - alpha);
            for (var other = 0; other < counts.Length; other++)
            {
                mix.addcmul_(own.index_select(0, index.select(1, other)), weights.narrow(1, other, 1), alpha);
            }

            return where(matches.any(1, keepdim: true), mix, mine).MoveToOuterDisposeScope();
        }
    }

    private static Tensor Unit(Tensor x)
    {
        // Half precision cannot tell close matches apart.
        var exact = x.dtype == ScalarType.Float64 ? x : x.to_type(ScalarType.Float32);
        return exact / exact.norm(-1, keepdim: true).clamp_min(1e-12);
    }

    /// <summary>For each token the most similar one of each image, the first if several are.</summary>
    /// <param name="similarities">(tokens, tokens of all images).</param>
    /// <param name="counts">Tokens of the images.</param>
    /// <returns>Similarity and number of that token, (tokens, images).</returns>
    private static (Tensor Similarity, Tensor Index) Best(Tensor similarities, long[] counts)
    {
        var best = new List<Tensor>();
        var indices = new List<Tensor>();
        var start = 0L;
        foreach (var count in counts)
        {
            var (similarity, index) = similarities.narrow(1, start, count).max(1);
            best.Add(similarity);
            indices.Add(index.add_(start));
            start += count;
        }

        return (stack(best, 1), stack(indices, 1));
    }
}
