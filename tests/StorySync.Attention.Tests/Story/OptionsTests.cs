using System.Text.Json;

namespace StorySync.Attention.Tests.Story;

public class OptionsTests
{
    public static TheoryData<Func<object>> OutOfRange => new(
        () => new SharingOptions { Strength = -0.1 },
        () => new SharingOptions { Strength = double.NaN },
        () => new SharingOptions { Dropout = 1 },
        () => new HarmonizationOptions { Alpha = 1.1 },
        () => new HarmonizationOptions { Threshold = 1.5 },
        () => new HarmonizationOptions { Temperature = 0 },
        () => new LayoutOptions { Start = -1 },
        () => new LayoutOptions { End = 2 },
        () => new LayoutOptions { Until = 1.01 },
        () => new MaskOptions { MaxGrid = 0 },
        () => new MaskOptions { Decay = 1.5 },
        () => new MaskOptions { ReadyAfterLayers = -1 },
        () => new MaskOptions { Closing = -1 },
        () => new MaskOptions { Components = -1 },
        () => new MaskOptions { MinArea = 2 },
        () => new PlacementOptions { Until = 1.5 },
        () => new PlacementOptions { Strength = -1 },
        () => new PlacementOptions { Strength = double.NaN },
        () => new LocationOptions { Strength = -1 },
        () => new LocationOptions { Alpha = 2 },
        () => new StepRange(-0.1, 1),
        () => new StepRange(0.6, 0.5));

    [Theory]
    [MemberData(nameof(OutOfRange), DisableDiscoveryEnumeration = true)]
    public void A_value_out_of_range_is_refused_by_name(Func<object> make)
    {
        var error = Assert.Throws<ArgumentOutOfRangeException>(make);

        // .NET appends "(Parameter 'X')" to whatever is said.
        var text = error.Message.Split(" (Parameter", 2)[0];
        Assert.Contains(error.ParamName!, text, StringComparison.Ordinal);
        Assert.Contains("must be", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Options_survive_json()
    {
        var options = new StoryAttentionOptions
        {
            Sharing =
                new() { Strength = 0.8, SubjectQueriesOnly = false, Dropout = 0.25, Steps = new(0.1, 0.9), Layers = "up_blocks.*, !mid*" },
            Harmonization = new() { Alpha = 0.3, Threshold = 0.7, Temperature = 0.2, Steps = new(0, 0.5), Layers = "mid*" },
            Layout = new() { Start = 0.7, End = 0.1, Until = 0.4, Layers = "down*" },
            Masks =
                new() { MaxGrid = 16, Decay = 0.5, ReadyAfterLayers = 3, Closing = 1, Components = 2, MinArea = 0.01, Layers = "*attn2" },
            Placement = new() { Until = 0.3, Strength = 4, Layers = "up*" },
            Location = new() { Strength = 0.5, Alpha = 0.2, Steps = new(0, 0.5), Layers = "mid*" },
            NegativeHalf = false,
        };
        Assert.Equal(options, JsonSerializer.Deserialize<StoryAttentionOptions>(JsonSerializer.Serialize(options)));
        Assert.Equal(
            StoryAttentionOptions.Default,
            JsonSerializer.Deserialize<StoryAttentionOptions>(JsonSerializer.Serialize(StoryAttentionOptions.Default)));
        Assert.Equal(
            new PlacementOptions { Strength = double.PositiveInfinity },
            JsonSerializer.Deserialize<PlacementOptions>("""{ "Strength": "Infinity" }"""));
        Assert.Equal(new StoryAttentionOptions(), JsonSerializer.Deserialize<StoryAttentionOptions>("{}"));
    }

    [Fact]
    public void Json_out_of_range_is_refused() => Assert.Throws<ArgumentOutOfRangeException>(
        () => JsonSerializer.Deserialize<StoryAttentionOptions>("""{ "Sharing": { "Strength": -1 } }"""));

    [Theory]
    [InlineData(0, 10, true)]
    [InlineData(4, 10, true)]
    [InlineData(5, 10, false)]
    [InlineData(0, 1, true)]
    public void A_range_has_its_first_step_and_not_its_last(int step, int steps, bool contained) =>
        Assert.Equal(contained, new StepRange(0, 0.5).Contains(step, steps));

    [Theory]
    [InlineData(0.3, 1)]
    [InlineData(0.2, 0.8)]
    [InlineData(0.25, 0.3)]
    [InlineData(0.999, 1)]
    public void A_range_that_is_not_empty_has_a_step_of_every_run(double from, double to)
    {
        foreach (var steps in Enumerable.Range(1, 60))
        {
            var all = Enumerable.Range(0, steps).ToList();
            var within = all.Where(step => from * steps <= step && step < to * steps).ToList();
            var found = all.Where(step => new StepRange(from, to).Contains(step, steps)).ToList();
            Assert.Equal(within.Count > 0 ? within : [(int)(from * steps)], found);
            Assert.DoesNotContain(all, step => new StepRange(from, from).Contains(step, steps));
        }
    }

    [Theory]
    [InlineData("*", "mid_block.attn1", true)]
    [InlineData("up_blocks.*", "up_blocks.0.attn1", true)]
    [InlineData("up_blocks.*", "down_blocks.0.attn1", false)]
    [InlineData("up_blocks.*, !up_blocks.2.*", "up_blocks.2.attn1", false)]
    [InlineData("!up_blocks.2.*", "mid_block.attn1", true)]
    public void Patterns_choose_layers(string patterns, string path, bool chosen) =>
        Assert.Equal(chosen, new LayerFilter(patterns).Contains(path));

    [Theory]
    [InlineData("")]
    [InlineData(" , ")]
    public void Patterns_that_choose_nothing_are_refused(string patterns) =>
        Assert.Throws<ArgumentException>(() => new SharingOptions { Layers = patterns });
}
