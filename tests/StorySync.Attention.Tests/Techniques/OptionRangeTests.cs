using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Techniques;

public class OptionRangeTests
{
    [Theory]
    [InlineData(-0.1, 0.5, 0.1, "alpha")]
    [InlineData(1.1, 0.5, 0.1, "alpha")]
    [InlineData(0.5, -1.1, 0.1, "threshold")]
    [InlineData(0.5, 0.5, 0, "temperature")]
    public void Harmonization_refuses_what_is_out_of_range(double alpha, double threshold, double temperature, string name)
    {
        using var scope = NewDisposeScope();
        using var subjects = SubjectTokens.FromMasks(ones([2, 3], ScalarType.Bool));
        var error = Assert.Throws<ArgumentOutOfRangeException>(() =>
            Harmonization.Apply(ones(2, 3, 8), subjects, null, alpha, threshold, temperature));
        Assert.Equal(name, error.ParamName);
    }

    [Fact]
    public void Harmonization_takes_the_ends_of_the_ranges()
    {
        using var scope = NewDisposeScope();
        using var subjects = SubjectTokens.FromMasks(ones([2, 1], ScalarType.Bool));
        var features = tensor([1f, 0, 0, 1], [2, 1, 2]);

        // All of the only other token.
        Assert.Equal([0f, 1, 1, 0], Harmonization.Apply(features, subjects, null, 1, -1, 0.1).data<float>().ToArray());
        Assert.Equal([1f, 0, 0, 1], Harmonization.Apply(features, subjects, null, 0, -1, 0.1).data<float>().ToArray());
    }

    [Fact]
    public void Tokens_without_a_direction_are_like_no_other()
    {
        using var scope = NewDisposeScope();
        using var subjects = SubjectTokens.FromMasks(ones([2, 2], ScalarType.Bool));
        foreach (var type in (ScalarType[])[ScalarType.Float32, ScalarType.Float64])
        {
            var blended = Harmonization.Apply(zeros([2, 2, 8], type), subjects);
            Assert.Equal(0, blended.abs().sum().to(ScalarType.Float64).item<double>());
        }
    }

    [Fact]
    public void What_is_missing_is_named()
    {
        using var scope = NewDisposeScope();
        using var subjects = SubjectTokens.FromMasks(ones([2, 3], ScalarType.Bool));
        var (x, hidden) = (ones(2, 1, 3, 8), ones(2, 3, 8));
        Assert.Throws<ArgumentNullException>("features", () => Harmonization.Apply(null!, subjects));
        Assert.Throws<ArgumentNullException>("subjects", () => Harmonization.Apply(hidden, null!));
        Assert.Throws<ArgumentNullException>("query", () => SharedAttention.Apply(null!, x, x, subjects));
        Assert.Throws<ArgumentNullException>("key", () => SharedAttention.Apply(x, null!, x, subjects));
        Assert.Throws<ArgumentNullException>("value", () => SharedAttention.Apply(x, x, null!, subjects));
        Assert.Throws<ArgumentNullException>("subjects", () => SharedAttention.Apply(x, x, x, null!));
        Assert.Throws<ArgumentNullException>("query", () => LayoutInterpolation.Apply(null!, x, 0.5));
        Assert.Throws<ArgumentNullException>("baseQuery", () => LayoutInterpolation.Apply(x, null!, 0.5));
        Assert.Throws<ArgumentNullException>("masks", () => SubjectTokens.FromMasks(null!));
        Assert.Throws<ArgumentNullException>("labels", () => SubjectTokens.FromLabels(null!, 1));
    }

    /// <summary>The operator blends subjects; what belongs to none is blended where a run has locations.</summary>
    [Fact]
    public void Harmonization_leaves_the_tokens_of_locations()
    {
        using var scope = NewDisposeScope();
        using var subjects = new SubjectTokens([[1, 0], [1, 0]], 1, null, 0, CPU, locations: ["wood", "wood"]);
        var hidden = tensor([1f, 0, 5, 5, 0, 1, 7, 7], [2, 2, 2]);
        Assert.Equal([0f, 1, 5, 5, 1, 0, 7, 7], Harmonization.Apply(hidden, subjects, null, 1, -1).data<float>().ToArray());
    }

    [Fact]
    public void What_is_blended_has_the_tokens_of_the_features()
    {
        using var scope = NewDisposeScope();
        using var subjects = SubjectTokens.FromMasks(ones([2, 3], ScalarType.Bool));
        Assert.Equal(
            "hidden", Assert.Throws<ArgumentException>(() => Harmonization.Apply(ones(2, 3, 8), subjects, ones(2, 4, 8))).ParamName);
    }

    [Theory]
    [InlineData(-0.1, 0, "strength")]
    [InlineData(1, -0.1, "dropout")]
    [InlineData(1, 1, "dropout")]
    public void Sharing_refuses_what_is_out_of_range(double strength, double dropout, string name)
    {
        using var scope = NewDisposeScope();
        using var subjects = SubjectTokens.FromMasks(ones([2, 3], ScalarType.Bool));
        var x = ones(2, 1, 3, 8);
        var error = Assert.Throws<ArgumentOutOfRangeException>(() => SharedAttention.Apply(x, x, x, subjects, strength, dropout: dropout));
        Assert.Equal(name, error.ParamName);
    }

    /// <summary>Equal logits: the answer is the share of the cross-image tokens, of which ⌊40 · dropout⌉ are not read.</summary>
    [Theory]
    [InlineData(0.26, 30)]
    [InlineData(0.29, 28)]
    public void Dropout_is_rounded_to_whole_tokens(double dropout, int read)
    {
        using var scope = NewDisposeScope();
        var (query, value) = (zeros(2, 1, 40, 8), zeros(2, 1, 40, 8));
        value[1] = 1;
        using var subjects = SubjectTokens.FromMasks(ones([2, 40], ScalarType.Bool));
        var attended = SharedAttention.Apply(query, query, value, subjects, dropout: dropout);
        Assert.Equal(read / (40f + read), attended[0, 0, 0, 0].item<float>(), 1e-6f);
    }

    [Theory]
    [InlineData(0, 0, false)]
    [InlineData(0.5, 0, true)]
    [InlineData(0, 0.5, true)]
    public void Sharing_is_on_if_anything_is_read(double strength, double location, bool isOn) =>
        Assert.Equal(isOn, new Sharing(strength, Background: false, location).IsOn);

    /// <summary>Images follow each other, and the batch repeats them: row 4 + 3 · 2 + 1 is the second image of the fourth repeat.</summary>
    [Fact]
    public void Rows_of_a_batch_repeat_the_images()
    {
        var rows = new ImageRows(Repeats: 5, Stride: 2, First: 4);
        Assert.Equal(11, rows.Of(3, 1));
        Assert.Equal((1, 11), (rows.Only(3).Repeats, rows.Only(3).Of(0, 1)));
    }
}
