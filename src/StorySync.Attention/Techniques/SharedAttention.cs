using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Provides masked cross-image attention sharing: a subject's tokens read, in addition to their own image, the same subject's
/// tokens in the other images (Gaur, Zolfaghari, Brox, arXiv 2508.03735).</summary>
/// <remarks>Cross-image tokens are gathered, never masked out: memory grows with the number of tokens and not with its square, and no work
/// is spent on what is not read. In float32 on the CPU not even gathered: they are read where they lie.</remarks>
public static class SharedAttention
{
    /// <summary>Attends.</summary>
    /// <param name="query">Queries, (rows, heads, tokens, width). The rows are the images in order, once or several times over
    /// (guidance halves), each time by itself.</param>
    /// <param name="key">Keys, the same shape.</param>
    /// <param name="value">Values, (rows, heads, tokens, value width).</param>
    /// <param name="subjects">Where the subjects' tokens are.</param>
    /// <param name="strength">λ ≥ 0: log λ is added to the logits of cross-image tokens. 1 treats them as the image's own, 0 turns sharing
    /// off.</param>
    /// <param name="subjectQueriesOnly">Whether only a subject's tokens read cross-image ones. If not, the background of an image reads
    /// those of every subject that the image takes part in. Subjects never read each other, nor does text read another image.</param>
    /// <param name="dropout">The share of the cross-image tokens, 0 ≤ share &lt; 1, that each image does not get to see.</param>
    /// <param name="seed">Decides which tokens those are: image i draws by <c>seed + i</c>, for each subject by itself, so that what it
    /// drops does not depend on what other images read.</param>
    /// <param name="rotary">The rotary position embedding that the keys carry, to move each cross-image key to the position of the token of
    /// the image's own subjects that it is most like; null leaves cross-image keys where they were. Keys that find no own token stay
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
        var sharing = new Sharing(strength, Background: !subjectQueriesOnly);
        if (subjects.Readings(sharing).Count == 0)
        {
            return ScaledDotProduct.Attend(query, key, value).MoveToOuterDisposeScope();
        }

        if (ReadsInPlace(query, key, value, rotary))
        {
            return InPlace(query, key, value, subjects, sharing, dropout, SeedOf).MoveToOuterDisposeScope();
        }

        var attended = ScaledDotProduct.Attend(query, key, value);
        var rows = new ImageRows(repeats, subjects.Images);
        return Overwrite(attended, query, key, value, subjects, rows, sharing, dropout, SeedOf, rotary).MoveToOuterDisposeScope();

        string SeedOf(int image) => $"{seed + image}";
    }

    /// <summary>Whether <see cref="InPlace"/> takes these.</summary>
    internal static bool ReadsInPlace(Tensor query, Tensor key, Tensor value, RotaryEmbedding? rotary) =>
        rotary is null && AttentionKernel.Supports(query, key, value);

    /// <summary>Attends where cross-image tokens are read where they lie. The rows are the images alone.</summary>
    internal static Tensor InPlace(
        Tensor query, Tensor key, Tensor value, SubjectTokens subjects, Sharing sharing, double dropout, Func<int, string> seedOf,
        KeptTokens? kept = null)
    {
        var groups = subjects.Groups(sharing);
        if (dropout > 0)
        {
            // The groups that read are the readings, in the same order.
            var dropped = new Queue<Reading>(Drop(subjects.Readings(sharing), dropout, seedOf));
            groups = [.. groups.Select(group =>
                group.CrossImage.Count > 0 || group.Bias is not null ? subjects.GroupOf(dropped.Dequeue()) : group)];
        }

        return SharedAttentionKernel.Apply(
            query, key, value, subjects.Images, kept is null ? groups : [.. groups.Where(group => group.Image >= kept.Images)], kept);
    }

    /// <summary>Overwrites what readers attended to in their own images alone by what they attend to with the cross-image tokens.</summary>
    /// <param name="attended">The attended values, (rows, heads, tokens, value width); they may be written to.</param>
    /// <param name="query">Queries of all rows.</param>
    /// <param name="key">Keys.</param>
    /// <param name="value">Values.</param>
    /// <param name="subjects">Where the subjects' tokens are.</param>
    /// <param name="rows">Where the images are among the rows.</param>
    /// <param name="sharing">What is read.</param>
    /// <param name="dropout">The share of the cross-image tokens that are dropped.</param>
    /// <param name="seedOf">What, besides the subject, decides what an image drops.</param>
    /// <param name="rotary">The positions of the keys, where cross-image ones are to be moved.</param>
    /// <param name="kept">The first of the subjects' images, where these are not in the batch.</param>
    internal static Tensor Overwrite(
        Tensor attended,
        Tensor query,
        Tensor key,
        Tensor value,
        SubjectTokens subjects,
        ImageRows rows,
        Sharing sharing,
        double dropout,
        Func<int, string> seedOf,
        RotaryEmbedding? rotary,
        KeptAnchors? kept = null)
    {
        var readings = subjects.Readings(sharing);
        if (dropout == 0)
        {
            return Overwrite(attended, query, key, value, null, rotary, subjects.Indices(
                (nameof(SharingIndices), rows, sharing, query.dtype, rotary is null), Make), kept);
        }

        readings = [.. Drop(readings, dropout, seedOf)];
        using var once = Make(query.device);
        return Overwrite(attended, query, key, value, null, rotary, once, kept);

        SharingIndices Make(Device device) =>
            SharingIndices.Of(
                readings, subjects.Length, subjects.Length, rows, query.dtype, device, apart: rotary is not null, subjects.Kept);
    }

    /// <summary>Overwrites what some queries attended to by what they read.</summary>
    /// <param name="attended">The attended values, (rows, heads, queries, value width); they may be written to.</param>
    /// <param name="query">Queries of all rows.</param>
    /// <param name="key">Keys.</param>
    /// <param name="value">Values.</param>
    /// <param name="mask">Added to the logits, (rows or 1, 1, 1, keys); null for none.</param>
    /// <param name="rotary">The positions of the keys, where cross-image ones are to be moved.</param>
    /// <param name="indices">Who reads what.</param>
    /// <param name="kept">Anchors whose tokens come before those of the batch.</param>
    internal static Tensor Overwrite(
        Tensor attended, Tensor query, Tensor key, Tensor value, Tensor? mask, RotaryEmbedding? rotary, SharingIndices indices,
        KeptAnchors? kept = null)
    {
        using var scope = NewDisposeScope();
        var result = TokensFirst(attended).contiguous();
        var all = result.view(-1, result.shape[2], result.shape[3]);
        var (queries, keys, values) = (Tokens(query), Tokens(key), Tokens(value));
        (keys, values) = kept is null ? (keys, values) : (kept.BeforeKeys(keys), kept.BeforeValues(values));
        var masks = mask?.expand(key.shape[0], 1, 1, key.shape[2]).flatten();
        foreach (var call in indices.Calls)
        {
            using var one = NewDisposeScope();
            var read = Gather(keys, call.Keys, call.Groups);
            if (rotary is not null && call.Own.shape[0] > 0)
            {
                read = AtOwnPositions(rotary, read, call, (int)key.shape[2]);
            }

            var bias = masks is null ? null : Gather(masks, call.Keys, call.Groups).unsqueeze(1).unsqueeze(1);
            var answers = ScaledDotProduct.Attend(
                TokensFirst(Gather(queries, call.Queries, call.Groups)),
                TokensFirst(read),
                TokensFirst(Gather(values, call.Keys, call.Groups)),
                bias is null || call.Bias is null ? bias ?? call.Bias : bias.Plus(call.Bias));
            all.index_copy_(0, call.Queries, TokensFirst(answers).flatten(0, 1));
        }

        return TokensFirst(result).MoveToOuterDisposeScope();
    }

    /// <summary>Moves the cross-image keys of a call to where their likes are in the own image.</summary>
    private static Tensor AtOwnPositions(RotaryEmbedding rotary, Tensor keys, SharingIndices.Call call, int length)
    {
        var own = keys.narrow(1, 0, length);
        var crossImage = keys.narrow(1, length, call.CrossImage.shape[0]);
        var moved = PositionMatching.Apply(rotary, crossImage, call.CrossImage, own.index_select(1, call.Own), call.Own);
        return cat([own, moved, keys.narrow(1, length + call.CrossImage.shape[0], keys.shape[1] - length - call.CrossImage.shape[0])], 1);
    }

    private static IEnumerable<Reading> Drop(IReadOnlyList<Reading> readings, double share, Func<int, string> seedOf)
    {
        return readings.Select(reading =>
            reading with { CrossImage = [.. reading.CrossImage.Select(part => Kept(part, seedOf(reading.Image)))] });

        CrossImageSubject Kept(CrossImageSubject part, string seed)
        {
            using var scope = NewDisposeScope();
            var hash = SHA256.HashData(Encoding.UTF8.GetBytes($"{seed}/{part.Subject}"));
            using var random = new Generator(BinaryPrimitives.ReadUInt64LittleEndian(hash));
            var count = part.Tokens.Length;
            var kept = randperm(count, generator: random).narrow(0, 0, count - (long)Math.Round(share * count));
            return part with { Tokens = Array.ConvertAll(kept.data<long>().ToArray(), index => part.Tokens[index]) };
        }
    }

    /// <summary>(rows · tokens, heads, width): as projections leave them in memory, so that gathering copies whole rows.</summary>
    private static Tensor Tokens(Tensor x) => TokensFirst(x).flatten(0, 1);

    private static Tensor Gather(Tensor tokens, Tensor indices, long groups) =>
        tokens.index(TensorIndex.Tensor(indices)).unflatten(0, [groups, -1]);

    private static Tensor TokensFirst(Tensor x) => x.transpose(1, 2);
}
