using StorySync.Attention;
using StorySync.Pipelines;
using StorySync.Samples.Evaluate;
using StorySync.TestSupport;

namespace StorySync.Evaluate.Tests;

public sealed class VariantListTests : IDisposable
{
    private static readonly StoryOptions Start = new() { Steps = 9, Techniques = new() };

    private readonly TemporaryFolder folder = new();

    [Fact]
    public void By_default_there_is_the_ablation()
    {
        var variants = VariantList.Make(Start, [], [], []);
        Assert.Equal(
            ["plain", "sharing", "harmonization", "layout", "without-sharing", "without-harmonization", "without-layout", "all"],
            variants.Select(variant => variant.Name));
        var techniques = variants.Select(variant => variant.Options.Techniques!).ToArray();
        Assert.Equal([false, true, false, false, false, true, true, true], techniques.Select(t => t.Sharing.Strength > 0));
        Assert.Equal([false, false, true, false, true, false, true, true], techniques.Select(t => t.Harmonization.Alpha > 0));
        Assert.Equal([false, false, false, true, true, true, false, true], techniques.Select(t => t.Layout.Until > 0));
    }

    [Fact]
    public void Variants_keep_what_the_model_says_of_its_techniques()
    {
        var own = new StoryAttentionOptions { Masks = new() { Layers = "late.*" }, Sharing = new() { Layers = "mid.*" } };
        var variants = VariantList.Make(Start with { Techniques = own }, ["sharing"], ["sharing.strength=2"], ["all"]);
        Assert.All(variants, variant => Assert.Equal("late.*", variant.Options.Techniques!.Masks.Layers));
        Assert.Equal(["*", "mid.*", "mid.*"], variants.Select(variant => variant.Options.Techniques!.Sharing.Layers));
    }

    [Fact]
    public void A_sweep_varies_one_option_of_each_base_beside_the_plain_model()
    {
        var variants = VariantList.Make(Start, [], ["sharing.steps.to=0.5,1", "steps=3"], ["all", "sharing"]);
        Assert.Equal(
            ["plain", "all, sharing.steps.to 0.5", "all, sharing.steps.to 1", "sharing, sharing.steps.to 0.5", "sharing, sharing.steps.to 1", "all, steps 3", "sharing, steps 3"],
            variants.Select(variant => variant.Name));
        Assert.Equal(0.5, variants[1].Options.Techniques!.Sharing.Steps.To);
        Assert.Equal(new SweepPoint("sharing.steps.to", "all", "0.5", IsDefault: false), variants[1].Point);
        Assert.Equal(new SweepPoint("sharing.steps.to", "all", "1", IsDefault: true), variants[2].Point);
        Assert.Equal(0, variants[3].Options.Techniques!.Harmonization.Alpha);
        Assert.Equal([9, 3], [variants[1].Options.Steps!.Value, variants[5].Options.Steps!.Value]);
    }

    [Fact]
    public void Scenes_and_damage_of_masks_are_swept_like_options()
    {
        var variants = VariantList.Make(Start, ["all"], ["scenes=2,8", "damage.erode=1"], []);
        Assert.Equal([null, null, 2, 8, null], variants.Select(variant => variant.Scenes));
        Assert.Equal(new MaskDamage("erode", 1), variants[4].Damage);
    }

    [Fact]
    public void A_file_says_what_differs()
    {
        var path = folder.Write("v.json", """{"strong": {"techniques": {"sharing": {"strength": 2}}}}""");
        var strong = VariantList.Make(Start, [path], [], [])[1];
        Assert.Equal("strong", strong.Name);
        Assert.Equal(Start with { Techniques = Start.Techniques! with { Sharing = Start.Techniques!.Sharing with { Strength = 2 } } }, strong.Options);
    }

    [Theory]
    [InlineData("sharing.strenght=1", "strenght")]
    [InlineData("sharing.dropout=2", "Dropout")]
    [InlineData("sharing.dropout", "constant=value")]
    [InlineData("sharing.dropout=,", "constant=value")]
    [InlineData("steps=3,3", "one name")]
    [InlineData("scenes=0", "0 scenes")]
    [InlineData("damage.burn=1", "burn")]
    [InlineData("damage.drop=2", "drop")]
    [InlineData("damage.erode=much", "much")]
    public void A_sweep_that_makes_no_sense_is_refused(string sweep, string message)
    {
        var exception = Assert.ThrowsAny<ArgumentException>(() => VariantList.Make(Start, [], [sweep], []));
        Assert.Contains(message, exception.Message);
    }

    [Fact]
    public void An_unknown_variant_is_refused() =>
        Assert.Contains("known are plain", Assert.Throws<ArgumentException>(() => VariantList.Make(Start, ["al"], [], [])).Message);

    [Fact]
    public void A_base_without_a_sweep_is_refused() =>
        Assert.Contains("no --sweep", Assert.Throws<ArgumentException>(() => VariantList.Make(Start, [], [], ["sharing"])).Message);

    [Theory]
    [InlineData("λ 4", "λ_4")]
    [InlineData("all", "All")]
    public void Variants_whose_folders_would_be_one_are_refused(string one, string other)
    {
        var path = folder.Write("v.json", $"{{ \"{one}\": {{}}, \"{other}\": {{}} }}");
        Assert.Contains("one folder", Assert.Throws<ArgumentException>(() => VariantList.Make(Start, [path], [], [])).Message);
    }

    public void Dispose() => folder.Dispose();
}
