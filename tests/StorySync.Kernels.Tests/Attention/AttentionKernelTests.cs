using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Kernels.Tests;

[Collection(typeof(AloneCollection))]
public class AttentionKernelTests
{
    [Theory]
    [InlineData(2, 3, 256, 256, 32, 32)]
    [InlineData(1, 2, 49, 300, 20, 20)]
    [InlineData(2, 1, 1, 1, 8, 8)]
    [InlineData(1, 1, 50, 129, 3, 40)]
    [InlineData(1, 2, 47, 77, 64, 1)]
    [InlineData(1, 8, 65, 257, 128, 128)]
    public void It_attends_as_torch_does_in_float64(long batch, long heads, long queries, long keys, long width, long valueWidth)
    {
        using var scope = NewDisposeScope();
        var query = Heads(batch, queries, heads, width);
        var key = Heads(batch, keys, heads, width);
        var value = Heads(batch, keys, heads, valueWidth);

        Assert.True(AttentionKernel.Supports(query, key, value));
        AssertClose(Exact(query, key, value), Apply(query, key, value));
    }

    [Fact]
    public void Tensors_may_be_views_and_rows_repeat()
    {
        using var scope = NewDisposeScope();
        var query = Seeded.Normal(4, 60, 2, 48).transpose(1, 2).narrow(2, 5, 50).narrow(0, 1, 2);
        var key = Seeded.Normal(1, 1, 33, 48).expand(2, 2, -1, -1);
        var value = Seeded.Normal(2, 2, 66, 48).narrow(2, 33, 33);

        Assert.True(AttentionKernel.Supports(query, key, value));
        AssertClose(Exact(query, key, value), Apply(query, key, value));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_mask_over_the_keys_counts(long rows)
    {
        using var scope = NewDisposeScope();
        var (query, key, value) = (Heads(2, 20, 3, 16), Heads(2, 200, 3, 16), Heads(2, 200, 3, 16));
        var mask = Seeded.Normal(rows, 1, 1, 200);

        // More than one block of keys at the beginning is not seen at all.
        mask.narrow(3, 0, 150).fill_(double.NegativeInfinity);

        Assert.True(AttentionKernel.Supports(query, key, value, mask));
        AssertClose(Exact(query, key, value, mask), Apply(query, key, value, mask));
    }

    [Fact]
    public void Large_logits_do_not_overflow()
    {
        using var scope = NewDisposeScope();
        var (query, key, value) = (100 * Heads(1, 20, 1, 16), 100 * Heads(1, 400, 1, 16), Heads(1, 400, 1, 16));

        // The logits themselves are exact to 10⁻³ only.
        AssertClose(Exact(query, key, value), Apply(query, key, value), 2e-2);
    }

    [Fact]
    public void What_is_no_number_shows()
    {
        using var scope = NewDisposeScope();
        var (query, key, value) = (Heads(1, 20, 1, 16), Heads(1, 30, 1, 16), Heads(1, 30, 1, 16));
        key[0, 0, 7, 3] = float.NaN;

        Assert.True(Apply(query, key, value).isnan().all().item<bool>());
    }

    [Fact]
    public void Neither_the_batch_nor_the_number_of_threads_changes_a_bit()
    {
        using var scope = NewDisposeScope();
        var (query, key, value) = (Heads(3, 100, 2, 32), Heads(3, 300, 2, 32), Heads(3, 300, 2, 32));
        var together = Apply(query, key, value);
        var threads = get_num_threads();
        try
        {
            set_num_threads(1);
            TensorAssert.SameBits(together, Apply(query, key, value));
            TensorAssert.SameBits(
                together.narrow(0, 1, 1), Apply(query.narrow(0, 1, 1), key.narrow(0, 1, 1), value.narrow(0, 1, 1)));
        }
        finally
        {
            set_num_threads(threads);
        }
    }

    [Fact]
    public void It_leaves_to_torch_what_it_cannot_read()
    {
        using var scope = NewDisposeScope();
        var query = Heads(2, 20, 2, 16);

        Assert.False(AttentionKernel.Supports(query.to(float64), query.to(float64), query.to(float64)));
        Assert.False(AttentionKernel.Supports(query.transpose(2, 3).contiguous().transpose(2, 3), query, query));
        Assert.False(AttentionKernel.Supports(query, query.narrow(2, 0, 0), query.narrow(2, 0, 0)));
        Assert.False(AttentionKernel.Supports(query, query.narrow(0, 0, 1), query.narrow(0, 0, 1)));
        Assert.False(AttentionKernel.Supports(query, query, query, zeros(2, 1, 20, 20)));
        AssertClose(Exact(query, query, query), ScaledDotProduct.Attend(query.transpose(2, 3).contiguous().transpose(2, 3), query, query));
    }

    [Fact]
    public void No_tensor_is_left() => LiveTensors.AssertNoneLeft(() =>
    {
        using var scope = NewDisposeScope();
        var query = Heads(2, 20, 2, 16);
        Apply(query, query, query);
    });

    private static Tensor Apply(Tensor query, Tensor key, Tensor value, Tensor? mask = null) =>
        AttentionKernel.TryApply(query, key, value, mask)!;

    private static Tensor Heads(long batch, long tokens, long heads, long width) =>
        Seeded.Normal(batch, tokens, heads, width).transpose(1, 2);

    private static Tensor Exact(Tensor query, Tensor key, Tensor value, Tensor? mask = null)
    {
        var (q, k, v) = (query.to(float64), key.to(float64), value.to(float64));
        var logits = q.matmul(k.transpose(2, 3)) / Math.Sqrt(query.shape[3]);
        return (mask is null ? logits : logits + mask).softmax(-1).matmul(v);
    }

    private static void AssertClose(Tensor expected, Tensor actual, double tolerance = 5e-6)
    {
        Assert.Equal(expected.shape, actual.shape);
        Assert.InRange((expected - actual).abs().max().item<double>(), 0, tolerance);
    }
}
