using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Masked cross-image attention sharing: a subject's tokens read, beside their own image, the same subject's tokens in the
/// other images (Gaur, Zolfaghari, Brox, arXiv 2508.03735).</summary>
/// <remarks>Foreign tokens are gathered, never masked out: memory grows with the number of tokens and not with its square, and no work
/// is spent on what is not read. In float32 on the CPU not even gathered: they are read where they lie.</remarks>
public static class SharedAttention
{
    /// <summary>Attends.</summary>
    /// <param name="query">Queries, (rows, heads, tokens, width). The rows are the images in order, once or several times over
    /// (guidance halves), each time by itself.</param>
    /// <param name="key">Keys, the same shape.</param>
    /// <param name="value">Values, (rows, heads, tokens, value width).</param>
    /// <param name="subjects">Where the subjects' tokens are.</param>
    /// <param name="strength">λ ≥ 0: log λ is added to the logits of foreign tokens. 1 treats them as the image's own, 0 turns sharing
    /// off.</param>
    /// <param name="subjectQueriesOnly">Whether only a subject's tokens read foreign ones. If not, the background of an image reads
    /// those of every subject that the image takes part in. Subjects never read each other, nor does text read another image.</param>
    /// <param name="dropout">The share of the foreign tokens, 0 ≤ share &lt; 1, that each image does not get to see.</param>
    /// <param name="seed">Decides which tokens those are.</param>
    /// <param name="rotary">The rotary position embedding that the keys carry, to move each foreign key to the position of the token of
    /// the image's own subjects that it is most like; null leaves foreign keys where they were. Keys that find no own token stay
    /// too.</param>
    /// <returns>The attended values, (rows, heads, tokens, value width).</returns>
    /// <exception cref="ArgumentException">The tensors do not have the subjects' images and tokens.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    public static Tensor Apply(
        Tensor query,
        Tensor key,
        Tensor value,
        SubjectTokens subjects,
        double strength = 1,
        bool subjectQueriesOnly = true,
        double dropout = 0,
        long seed = 0,
        RotaryEmbedding? rotary = null)
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(key);
        ArgumentNullException.ThrowIfNull(value);
        ArgumentNullException.ThrowIfNull(subjects);
        Require.InRange(strength, 0, double.MaxValue, nameof(strength));
        Require.InRange(dropout, 0, Math.BitDecrement(1.0), nameof(dropout));
        var repeats = subjects.RepeatsIn(query, tokenAxis: 2, nameof(query));
        subjects.RepeatsIn(key, tokenAxis: 2, nameof(key));
        subjects.RepeatsIn(value, tokenAxis: 2, nameof(value));

        using var scope = NewDisposeScope();
        var sharing = strength > 0
            ? Enumerable.Range(0, subjects.Images).Select(image => Readers(subjects, image, subjectQueriesOnly).ToList()).ToList()
            : [];
        if (sharing.All(readers => readers.Count == 0))
        {
            return ScaledDotProduct.Attend(query, key, value).MoveToOuterDisposeScope();
        }

        using var random = new Generator((ulong)seed);
        if (rotary is null && AttentionKernel.Takes(query, key, value))
        {
            var groups = Enumerable.Range(0, subjects.Images).SelectMany(image => Groups(subjects, image, sharing[image], dropout, random)).ToList();
            return AttentionKernel.ApplyShared(query, key, value, subjects.Images, groups, (float)Math.Log(strength)).MoveToOuterDisposeScope();
        }

        var (images, length) = (subjects.Images, subjects.Length);
        var queries = TokensFirst(query).unflatten(0, [repeats, images]);
        var keys = TokensFirst(key).reshape(repeats, images * length, key.shape[1], -1);
        var values = TokensFirst(value).reshape(repeats, images * length, value.shape[1], -1);
        var attended = empty([repeats, images, length, values.shape[2], values.shape[3]], value.dtype, value.device);

        for (var image = 0; image < images; image++)
        {
            var rows = attended.select(1, image);
            var asking = queries.select(1, image);
            var ownKeys = keys.narrow(1, image * length, length);
            var ownValues = values.narrow(1, image * length, length);
            foreach (var (readers, foreign, home) in sharing[image])
            {
                using var group = NewDisposeScope();
                var read = dropout > 0 ? Drop(foreign, dropout, random) : foreign;
                var foreignKeys = keys.index_select(1, read);
                if (rotary is not null && home.shape[0] > 0)
                {
                    foreignKeys = PositionMatching.Apply(rotary, foreignKeys, read.remainder(length), ownKeys.index_select(1, home), home);
                }

                var bias = strength == 1
                    ? null
                    : cat([query.new_zeros(length), query.new_full(read.shape[0], Math.Log(strength))]).view(1, 1, 1, -1);
                rows.index_copy_(1, readers, Attend(
                    asking.index_select(1, readers),
                    cat([ownKeys, foreignKeys], 1),
                    cat([ownValues, values.index_select(1, read)], 1),
                    bias));
            }

            if (sharing[image].Count == 0)
            {
                rows.copy_(Attend(asking, ownKeys, ownValues));
            }
            else if (Rest(subjects, image, sharing[image]) is { } rest && rest.shape[0] > 0)
            {
                rows.index_copy_(1, rest, Attend(asking.index_select(1, rest), ownKeys, ownValues));
            }
        }

        return attended.flatten(0, 1).transpose(1, 2).MoveToOuterDisposeScope();
    }

    /// <summary>The tokens of an image that read foreign tokens, and which those are, sets that are not empty; and the image's own tokens
    /// of the subjects that are read.</summary>
    private static IEnumerable<(Tensor Readers, Tensor Foreign, Tensor Home)> Readers(SubjectTokens subjects, int image, bool subjectQueriesOnly)
    {
        for (var subject = 0; subject < subjects.Subjects; subject++)
        {
            if (subjects.Of(image, subject).shape[0] > 0 && subjects.ForeignTo(image, subject).shape[0] > 0)
            {
                yield return (subjects.Of(image, subject), subjects.ForeignTo(image, subject), subjects.Of(image, subject));
            }
        }

        if (!subjectQueriesOnly && subjects.BackgroundOf(image).shape[0] > 0)
        {
            var all = Enumerable.Range(0, subjects.Subjects);
            var foreign = cat([.. all.Select(subject => subjects.ForeignTo(image, subject))]);
            if (foreign.shape[0] > 0)
            {
                yield return (subjects.BackgroundOf(image), foreign, cat([.. all.Select(subject => subjects.Of(image, subject))]));
            }
        }
    }

    /// <summary>An image's tokens, by what they read.</summary>
    private static IEnumerable<TokenGroup> Groups(
        SubjectTokens subjects, int image, List<(Tensor Readers, Tensor Foreign, Tensor Home)> sharing, double dropout, Generator random)
    {
        foreach (var (readers, foreign, _) in sharing)
        {
            yield return new(image, Numbers(readers), Numbers(dropout > 0 ? Drop(foreign, dropout, random) : foreign));
        }

        yield return new(image, Numbers(Rest(subjects, image, sharing)), []);
    }

    private static int[] Numbers(Tensor indices) => Array.ConvertAll(indices.data<long>().ToArray(), index => (int)index);

    /// <summary>The tokens of an image that read their own image only.</summary>
    private static Tensor Rest(SubjectTokens subjects, int image, List<(Tensor Readers, Tensor Foreign, Tensor Home)> sharing)
    {
        var all = Enumerable.Range(0, subjects.Subjects).Select(subject => subjects.Of(image, subject))
            .Append(subjects.BackgroundOf(image));
        var home = all.Where(tokens => !sharing.Any(group => ReferenceEquals(group.Readers, tokens)));
        return cat([arange(subjects.TextTokens, ScalarType.Int64, subjects.BackgroundOf(image).device), .. home]);
    }

    private static Tensor Drop(Tensor tokens, double share, Generator random)
    {
        // How many stay is known without asking the device.
        var count = tokens.shape[0];
        var kept = randperm(count, generator: random).narrow(0, 0, count - (long)Math.Round(share * count));
        return tokens.index_select(0, kept.to(tokens.device));
    }

    private static Tensor Attend(Tensor query, Tensor key, Tensor value, Tensor? bias = null) => TokensFirst(
        ScaledDotProduct.Attend(TokensFirst(query), TokensFirst(key), TokensFirst(value), bias));

    /// <summary>Swaps heads and tokens. With tokens first, as projections leave them in memory, gathering copies whole rows.</summary>
    private static Tensor TokensFirst(Tensor x) => x.transpose(1, 2);
}
