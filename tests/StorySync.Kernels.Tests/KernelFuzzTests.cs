using StorySync.TestSupport;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Kernels.Tests;

/// <summary>Every kernel with 10,000 random sizes in all, against libtorch in float64.</summary>
public class KernelFuzzTests
{
    private const double Relative = 2e-5;

    [Fact]
    public void Linear_layers() => Each(2000, draw =>
    {
        var (rows, inner, width) = (draw.Next(0, 40), draw.Next(1, 90), draw.Next(1, 90));
        var epilogue = (LinearEpilogue)draw.Next(0, 3);
        var outputs = epilogue == LinearEpilogue.Geglu ? 2 * width : width;
        var stored = draw.OneOf(ScalarType.Float32, ScalarType.Float16, ScalarType.BFloat16);
        var input = draw.OneOf(draw.Normal(rows, inner), draw.Normal(inner, rows).t(), draw.Normal(2, rows, inner));
        var (weight, bias) = (draw.Normal(outputs, inner).to(stored), draw.OneOf(null, draw.Normal(outputs)));
        var format = new PackedMatrix(epilogue == LinearEpilogue.Geglu ? 2 : 1);
        var packed = format.Pack(weight, input.shape);
        TensorAssert.SameBits(weight, format.Unpack(packed, weight.shape));

        var product = nn.functional.linear(input.to(float64), weight.to(float64), bias?.to(float64));
        var expected = epilogue switch
        {
            LinearEpilogue.GeluTanh => nn.functional.gelu(product, GELU.Approximate.tanh),
            LinearEpilogue.Geglu => product.narrow(-1, 0, width) * nn.functional.gelu(product.narrow(-1, width, width)),
            _ => product,
        };
        Close(expected, LinearKernel.Apply(input, packed, width, bias, epilogue));
    });

    [Fact]
    public void Group_norms() => Each(2000, draw =>
    {
        var (batch, height, width) = (draw.Next(1, 4), draw.Next(1, 12), draw.Next(1, 12));
        var channels = VectorNative.Count * draw.Next(1, 9);
        var groups = draw.Next(0, channels + 2);
        var input = draw.Normal(batch, height, width, channels).add_(draw.Next(-20, 20)).permute(0, 3, 1, 2);
        var (weight, bias) = (draw.OneOf(null, draw.Normal(channels)), draw.OneOf(null, draw.Normal(batch, channels)));
        var (shift, silu) = (draw.OneOf(null, draw.Normal(batch, 2 * channels).narrow(1, channels / 2, channels)), draw.Next(0, 2) == 1);
        Tensor Run() => GroupNormKernel.Apply(input, groups, 1e-5, weight, bias, shift, silu);
        if (groups == 0 || channels % groups != 0)
        {
            Assert.Throws<ArgumentException>(Run);
            return;
        }

        var sum = input.to(float64).contiguous();
        sum = shift is null ? sum : sum + shift.to(float64).unsqueeze(-1).unsqueeze(-1);
        var norm = nn.functional.group_norm(sum, groups, null, null, 1e-5);
        norm = weight is null ? norm : norm * weight.to(float64).view(1, -1, 1, 1);
        norm = bias is null ? norm : norm + bias.to(float64).unsqueeze(-1).unsqueeze(-1);

        // Few elements in a group may be nearly equal, and their differences then lose digits.
        Close(silu ? nn.functional.silu(norm) : norm, Run(), absolute: 2e-3);
    });

    [Fact]
    public void Attention() => Each(2000, draw =>
    {
        var (batch, heads, queries, keys) = (draw.Next(1, 4), draw.Next(1, 4), draw.Next(0, 60), draw.Next(1, 150));
        var (inner, width) = (draw.Next(1, 40), draw.Next(1, 40));
        var query = draw.Normal(batch, queries, heads, inner).transpose(1, 2);
        var key = draw.OneOf(draw.Normal(batch, keys, heads, inner).transpose(1, 2), draw.Normal(batch, heads, keys, inner));
        var value = draw.Normal(batch, keys, heads, width).transpose(1, 2);
        var mask = draw.OneOf(null, draw.Normal(draw.OneOf(1, batch), 1, 1, keys));
        Close(Attend(query, key, value, mask), AttentionKernel.TryApply(query, key, value, mask)!);
    });

    [Fact]
    public void Shared_attention() => Each(1000, draw =>
    {
        var (images, repeats, heads, tokens) = (draw.Next(1, 4), draw.Next(1, 3), draw.Next(1, 3), draw.Next(1, 40));
        var (inner, width) = (draw.Next(1, 24), draw.Next(1, 24));
        var (query, key, value) = (Heads(inner), Heads(inner), Heads(width));
        var groups = Enumerable.Range(0, images).SelectMany(image => Split(image)).ToList();
        var expected = empty([images * repeats, heads, tokens, width], float64);
        foreach (var group in groups)
        {
            for (var repeat = 0; repeat < repeats; repeat++)
            {
                var row = (repeat * images) + group.Image;
                var logits = cat(
                    [tensor(group.Bias ?? new float[tokens]), .. group.CrossImage.Select(part => full(part.Tokens.Length, part.Bias))]);
                var (asked, keys, values) =
                    (Take(query[row], group.Queries), With(key, group, row, repeat), With(value, group, row, repeat));
                var attended = Attend(asked, keys, values, logits);
                expected[row].index_copy_(1, tensor(Array.ConvertAll(group.Queries, i => (long)i)), attended);
            }
        }

        // Where all that a group reads is lowered, logits lie near 5,000, where numbers are 2⁻¹¹ apart, and weights are that much less
        // exact.
        var isAllLowered = groups.Any(group => group.Queries.Length > 0 && group.Bias?.All(bias => bias == -5000) == true
            && group.CrossImage.All(part => part.Tokens.Length == 0));
        Close(expected, SharedAttentionKernel.Apply(query, key, value, images, groups), isAllLowered ? 2e-3 : 1e-5);

        Tensor Heads(int size) => draw.Normal(images * repeats, tokens, heads, size).transpose(1, 2);

        Tensor Take(Tensor of, int[] indices) => of.index_select(1, tensor(Array.ConvertAll(indices, i => (long)i)));

        Tensor With(Tensor of, TokenGroup group, int row, int repeat) => cat(
            [
                of[row],
                .. group.CrossImage.SelectMany(part => part.Tokens)
                    .Select(token => of[(repeat * images) + (token / tokens)].narrow(1, token % tokens, 1)),
            ],
            1);

        IEnumerable<TokenGroup> Split(int image)
        {
            var all = Enumerable.Range(0, tokens).OrderBy(_ => draw.Next(0, 1000)).ToArray();
            var cut = draw.Next(0, tokens + 1);
            CrossImageTokens[] crossImage = [.. Enumerable.Range(0, images == 1 ? 0 : draw.Next(0, 3)).Select(_ => new CrossImageTokens(
                [.. Enumerable.Range(0, draw.Next(0, 20)).Select(_ => draw.Next(0, images * tokens))], draw.OneOf(0f, -0.7f)))];
            float[]? bias = draw.OneOf(null, Enumerable.Range(0, tokens).Select(_ => draw.OneOf(0f, -2f, -5000f)).ToArray());
            return [new(image, all[..cut], crossImage, bias), new(image, all[cut..], [])];
        }
    });

    /// <summary>Images whose tokens are kept give the others what they give with their rows in the batch, to the bit.</summary>
    [Fact]
    public void Shared_attention_to_kept_images() => Each(300, draw =>
    {
        var (kept, images, repeats, heads, tokens) =
            (draw.Next(1, 3), draw.Next(1, 3), draw.Next(1, 3), draw.Next(1, 3), draw.Next(1, 40));
        var (inner, width) = (draw.Next(1, 24), draw.Next(1, 24));
        var all = kept + images;
        var (query, key, value) = (Heads(inner), Heads(inner), Heads(width));
        var rows = new int[kept * tokens];
        int[] there = [.. Enumerable.Range(0, rows.Length).Where(_ => draw.Next(0, 3) > 0)];
        Array.Fill(rows, -1);
        foreach (var (row, token) in there.Index())
        {
            rows[token] = row;
        }

        int[] read = [.. there, .. Enumerable.Range(rows.Length, images * tokens)];
        List<TokenGroup> groups = [.. Enumerable.Range(kept, images).Select(image => new TokenGroup(
            image,
            [.. Enumerable.Range(0, tokens)],
            [new([.. Enumerable.Range(0, draw.Next(0, 30)).Select(_ => read[draw.Next(0, read.Length)])], draw.OneOf(0f, -0.7f))]))];
        List<TokenGroup> ofKept =
            [.. Enumerable.Range(0, kept).Select(image => new TokenGroup(image, [.. Enumerable.Range(0, tokens)], []))];
        var expected = SharedAttentionKernel.Apply(query, key, value, all, [.. ofKept, .. groups]);
        var actual = SharedAttentionKernel.Apply(
            InBatch(query), InBatch(key), InBatch(value), all, groups,
            new KeptTokens(kept, rows, [.. Enumerable.Range(0, repeats).Select(repeat => (Kept(key, repeat), Kept(value, repeat)))]));
        TensorAssert.SameBits(InBatch(expected), actual);

        Tensor Heads(int size) => draw.Normal(all * repeats, tokens, heads, size).transpose(1, 2);

        Tensor InBatch(Tensor of) => of.unflatten(0, [repeats, all]).narrow(1, kept, images).flatten(0, 1);

        Tensor Kept(Tensor of, int repeat) => of.unflatten(0, [repeats, all])[repeat].narrow(0, 0, kept).transpose(1, 2).flatten(0, 1)
            .index_select(0, tensor(Array.ConvertAll(there, token => (long)token), int64));
    });

    [Fact]
    public void Blends() => Each(1000, draw =>
    {
        int[] counts = [.. Enumerable.Range(0, draw.Next(1, 5)).Select(_ => draw.Next(0, 30))];
        bool[] reads = [.. counts.SelectMany(_ => counts).Select(_ => draw.Next(0, 3) > 0)];
        var (tokens, width, values) = (counts.Sum(), draw.Next(1, 30), draw.Next(1, 50));
        var (alpha, threshold, temperature) = (0.4, draw.OneOf(-1.0, 0.2), 0.3);
        var units = nn.functional.normalize(draw.Normal(tokens, width), dim: 1);
        var own = draw.Normal(tokens, values);
        var similar = units.to(float64).matmul(units.to(float64).t());
        var expected = own.to(float64).clone();
        long[] starts = [.. counts.Select((_, image) => (long)counts[..image].Sum())];
        for (var token = 0; token < tokens; token++)
        {
            var others = new List<(double Similarity, long Token)>();
            for (var image = 0; image < counts.Length; image++)
            {
                if (counts[image] > 0 && reads[(Array.FindLastIndex(starts, start => start <= token) * counts.Length) + image])
                {
                    var row = similar[token].narrow(0, starts[image], counts[image]);
                    others.Add((row.max().item<double>(), starts[image] + row.argmax().item<long>()));
                }
            }

            others.RemoveAll(other => other.Similarity <= threshold);
            var total = others.Sum(other => Math.Exp(other.Similarity / temperature));
            if (total > 0)
            {
                var mix = own[token].to(float64) * (1 - alpha);
                others.ForEach(other => mix.add_(own[other.Token].to(float64), alpha * Math.Exp(other.Similarity / temperature) / total));
                expected[token] = mix;
            }
        }

        Close(expected, BlendKernel.Apply(units, own, counts, reads, alpha, threshold, temperature));
    });

    [Fact]
    public void Convolutions() => Each(1500, draw =>
    {
        var (batch, height, width, kernel) = (draw.Next(1, 3), draw.Next(1, 9), draw.Next(1, 9), draw.OneOf(1, 3, 3, 3));
        var winograd = kernel == 3 && draw.Next(0, 2) == 1;
        var (channels, outputs) = winograd ? (32 * draw.Next(1, 3), 32 * draw.Next(1, 3)) : (draw.Next(1, 20), draw.Next(1, 40));
        var (stride, padding) = winograd ? (1, 1) : (draw.Next(1, 3), kernel / 2);
        var geometry = new ConvolutionGeometry(channels, outputs, kernel, stride, padding);
        var input = draw.Normal(batch, channels, height, width);
        input = draw.OneOf(input, input.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2));
        var (values, bias) = (draw.Normal(outputs, channels, kernel, kernel), draw.OneOf(null, draw.Normal(outputs)));
        using var weight = new TestWeight(values);
        var expected = nn.functional.conv2d(input.to(float64), values.to(float64), bias?.to(float64), [stride, stride], [padding, padding]);
        Close(expected, Convolution.Run(input, weight.Storage, bias, geometry));
        weight.Storage.Materialize();
        TensorAssert.SameBits(values, weight.Parameter);
        Assert.Throws<ArgumentException>(() => Convolution.Run(draw.Normal(1, channels + 1, 5, 5), weight.Storage, bias, geometry));
    });

    [Fact]
    public void Upsampling() => Each(300, draw =>
    {
        var (channels, height, width) = (draw.Next(1, 40), draw.Next(1, 9), draw.Next(1, 9));
        var input = draw.Normal(draw.Next(1, 3), channels, height, width);
        var (values, bias) = (draw.Normal(channels, channels, 3, 3), draw.OneOf(null, draw.Normal(channels)));
        var size = draw.OneOf<long[]?>(null, [2 * height, 2 * width], [(2 * height) + 1, 3 * width]);
        using var weight = new TestWeight(values);
        var large = nn.functional.interpolate(input, size ?? [2 * height, 2 * width], mode: InterpolationMode.Nearest);
        var expected = nn.functional.conv2d(large.to(float64), values.to(float64), bias?.to(float64), padding: [1, 1]);
        var geometry = new ConvolutionGeometry(channels, channels, kernel: 3, stride: 1, padding: 1);
        Close(expected, Convolution.RunUpsampled(input, size, weight.Storage, bias, geometry));
    });

    [Fact]
    public void Transposed_convolutions() => Each(200, draw =>
    {
        var (channels, outputs, kernel) = (draw.Next(1, 40), draw.Next(1, 40), draw.Next(1, 4));
        var input = draw.Normal(draw.Next(1, 3), channels, draw.Next(1, 9), draw.Next(1, 9));
        var (values, bias) = (draw.Normal(channels, outputs, kernel, kernel), draw.Normal(outputs));
        using var weight = new TestWeight(values);
        long[] stride = [kernel, kernel];
        var expected = nn.functional.conv_transpose2d(input.to(float64), values.to(float64), bias.to(float64), stride);
        Close(expected, Convolution.RunTransposed(input, weight.Storage, bias, stride, new OneDnnTransposedFilter(stride, [0, 0])));
        Assert.Throws<ArgumentException>(
            () => Convolution.RunTransposed(draw.Normal(1, channels + 1, 5, 5), weight.Storage, bias, stride,
                new OneDnnTransposedFilter(stride, [0, 0])));
    });

    private static Tensor Attend(Tensor query, Tensor key, Tensor value, Tensor? mask)
    {
        var logits = query.to(float64).matmul(key.to(float64).transpose(-1, -2)) / Math.Sqrt(query.shape[^1]);
        return (mask is null ? logits : logits + mask.to(float64)).softmax(-1).matmul(value.to(float64));
    }

    private static void Close(Tensor expected, Tensor actual, double absolute = 1e-5) =>
        TensorAssert.Close(expected, actual.to(float64), Relative, absolute);

    private static void Each(int cases, Action<Draw> check)
    {
        for (var seed = 0; seed < cases; seed++)
        {
            using var scope = NewDisposeScope();
            using var draw = new Draw(seed);
            try
            {
                check(draw);
            }
            catch (Exception exception)
            {
                throw new InvalidOperationException($"Case {seed}: {exception.Message}", exception);
            }
        }
    }

    /// <summary>Random sizes and tensors, the same in every run.</summary>
    private sealed class Draw(int seed) : IDisposable
    {
        private readonly Random random = new(seed);
        private readonly Generator generator = new((ulong)seed);

        public int Next(int low, int end) => random.Next(low, end);

        public T OneOf<T>(params T[] choices) => choices[random.Next(choices.Length)];

        public Tensor Normal(params long[] shape) => randn(shape, generator: generator);

        public void Dispose() => generator.Dispose();
    }
}
