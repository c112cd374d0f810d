using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Attention in which some of an image's queries read tokens of other images in addition to all tokens of their own: see
/// <see cref="AttentionKernel"/>.</summary>
internal sealed unsafe class SharedAttentionKernel : Kernel
{
    private readonly int rows;
    private readonly int heads;
    private readonly int tokens;
    private readonly int images;
    private readonly KeptTokens? kept;
    private readonly List<KeptHeads> keptHeads = [];
    private readonly int inner;
    private readonly int width;
    private readonly IReadOnlyList<TokenGroup> groups;
    private readonly HeadView query;
    private readonly HeadView key;
    private readonly HeadView value;
    private readonly HeadView output;
    private readonly Tensor result;

    private SharedAttentionKernel(
        Tensor query, Tensor key, Tensor value, int images, IReadOnlyList<TokenGroup> groups, KeptTokens? kept)
    {
        if (!AttentionKernel.Supports(query, key, value) || query.size(2) != key.size(2) || images <= (kept?.Images ?? 0)
            || query.size(0) % (images - (kept?.Images ?? 0)) != 0)
        {
            throw ShapeMismatch.Of($"Attention shared by {images} images", ("query", query), ("key", key), ("value", value));
        }

        (rows, heads, tokens) = ((int)query.size(0), (int)query.size(1), (int)query.size(2));
        (inner, width) = ((int)query.size(3), (int)value.size(3));
        (this.images, this.groups, this.kept) = (images, groups, kept);
        CheckKept();
        CheckGroups();
        using var attended = Allocate(out var address, rows, tokens, heads, width);
        result = attended.transpose(1, 2);
        output = new(result, address);
        (this.query, this.key, this.value) = (new(query, Input(query)), new(key, Input(key)), new(value, Input(value)));
        keptHeads.AddRange((kept?.Repeats ?? []).Select(repeat =>
            new KeptHeads(kept!.Images, kept.Rows, ViewOf(repeat.Key), ViewOf(repeat.Value))));
    }

    /// <summary>Gets how many of the images are in the batch; the kept ones are before them.</summary>
    private int InBatch => images - (kept?.Images ?? 0);

    /// <summary>Attends.</summary>
    /// <param name="query">(rows, heads, tokens, width). The rows are the images that are not kept in order, once or several
    /// times.</param>
    /// <param name="key">The same shape.</param>
    /// <param name="value">(rows, heads, tokens, value width).</param>
    /// <param name="images">The number of images, with the kept ones.</param>
    /// <param name="groups">The queries of the images in the batch, each in one group.</param>
    /// <param name="kept">The tokens of the first images, where these are not in the batch; null where all are.</param>
    /// <returns>(rows, heads, tokens, value width), the heads of a token contiguous in memory.</returns>
    /// <exception cref="ArgumentException">The sizes or groups do not fit together.</exception>
    public static Tensor Apply(
        Tensor query, Tensor key, Tensor value, int images, IReadOnlyList<TokenGroup> groups, KeptTokens? kept = null)
    {
        var kernel = new SharedAttentionKernel(query, key, value, images, groups, kept);
        kernel.Run();
        return kernel.result;
    }

    protected override void Compute<V>()
    {
        var size = QueryBlock<V>.Size;
        (TokenGroup Group, int First)[] blocks =
            [.. groups.SelectMany(group => Enumerable.Range(0, (group.Queries.Length + size - 1) / size).Select(i => (group, i * size)))];
        ThreadTeam.Run(width > 0 ? checked(rows / InBatch * heads * blocks.Length) : 0, piece =>
        {
            var ((group, first), head, repeat) =
                (blocks[piece % blocks.Length], piece / blocks.Length % heads, piece / blocks.Length / heads);
            var keptOfRepeat = kept is null ? default : keptHeads[repeat];
            var start = (repeat * InBatch) - keptOfRepeat.Images;
            var image = start + group.Image;
            var work = new QueryBlock<V>(inner, width, Math.Min(size, group.Queries.Length - first));
            for (var row = 0; row < work.Queries; row++)
            {
                work.SetQuery(row, query.At(image, head, group.Queries[first + row]).Start);
            }

            fixed (float* bias = group.Bias)
            {
                using var guard = MemoryGuard.IsOn ? MemoryGuard.Allow(bias, tokens * sizeof(float), canWrite: false) : null;
                work.Attend(key.At(image, head), value.At(image, head), tokens, bias);
            }

            foreach (var crossImage in group.CrossImage)
            {
                work.AttendCrossImage(key, value, start, head, tokens, crossImage, keptOfRepeat);
            }

            for (var row = 0; row < work.Queries; row++)
            {
                work.GetResult(row, output.At(image, head, group.Queries[first + row]).Start);
            }
        });
    }

    private HeadView ViewOf(Tensor tokensOfImages)
    {
        using var image = tokensOfImages.unsqueeze(0);
        using var view = image.transpose(1, 2);
        return new(view, Input(tokensOfImages));
    }

    private void CheckKept()
    {
        if (kept is null)
        {
            return;
        }

        if (kept.Images < 1 || kept.Rows.Length != kept.Images * tokens || kept.Repeats.Count * InBatch != rows)
        {
            throw new ArgumentException(
                $"There are {kept.Rows.Length} rows of {kept.Images} kept images with {tokens} tokens, {kept.Repeats.Count} times, for "
                    + $"{rows} rows of {InBatch} images.");
        }

        foreach (var (keptKey, keptValue) in kept.Repeats)
        {
            if (!IsKept(keptKey, inner) || !IsKept(keptValue, width) || keptKey.size(0) != keptValue.size(0)
                || kept.Rows.Max() >= keptKey.size(0))
            {
                throw ShapeMismatch.Of(
                    $"Kept tokens of {kept.Images} images with {tokens} tokens in {heads} heads", ("key", keptKey), ("value", keptValue));
            }
        }

        bool IsKept(Tensor part, int wide) => TensorMemory.CanRead(part) && part.dim() == 3 && part.is_contiguous()
            && part.size(1) == heads && part.size(2) == wide;
    }

    private void CheckGroups()
    {
        var (isQuery, first) = (new bool[images * tokens], images - InBatch);
        foreach (var group in groups)
        {
            if (group.Image < first || group.Image >= images)
            {
                throw new ArgumentException($"A group of tokens is of image {group.Image}; there are {first} to {images - 1}.");
            }

            foreach (var token in group.Queries)
            {
                if (token < 0 || token >= tokens || isQuery[(group.Image * tokens) + token])
                {
                    throw new ArgumentException($"Token {token} of image {group.Image}, of {tokens}, is missing or in two groups.");
                }

                isQuery[(group.Image * tokens) + token] = true;
            }

            if (group.Bias is { } bias && bias.Length != tokens)
            {
                throw new ArgumentException($"A group has {bias.Length} biases for the {tokens} tokens of its image.");
            }

            if (group.CrossImage.Any(crossImage => Array.Exists(crossImage.Tokens, token => token < 0 || token >= images * tokens)))
            {
                throw new ArgumentException($"A group reads a token that none of the {images} images with {tokens} tokens has.");
            }

            if (kept is not null && group.CrossImage.Any(crossImage =>
                Array.Exists(crossImage.Tokens, token => token < kept.Rows.Length && kept.Rows[token] < 0)))
            {
                throw new ArgumentException("A group reads a token of a kept image that is not kept.");
            }
        }

        if (Array.IndexOf(isQuery, false, first * tokens) is var missing && missing >= 0)
        {
            throw new ArgumentException($"Token {missing % tokens} of image {missing / tokens} is in no group.");
        }
    }
}
