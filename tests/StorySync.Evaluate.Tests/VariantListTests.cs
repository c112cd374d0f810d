using StorySync.Attention;
using StorySync.Documents;
using StorySync.Pipelines;
using StorySync.Samples;
using StorySync.Samples.Evaluate;
using StorySync.TestSupport;

namespace StorySync.Evaluate.Tests;

public sealed class VariantListTests : IDisposable
{
    private static readonly StoryOptions Start = new() { Request = new() { Steps = 9 }, Techniques = StoryAttentionOptions.Default };

    private readonly TemporaryFolder folder = new();

    [Fact]
    public void By_default_there_is_the_ablation()
    {
        var variants = VariantList.Make(Start, [], [], []);
        Assert.Equal(
            ["plain", "sharing", "harmonization", "layout", "without-sharing", "without-harmonization", "without-layout", "all"],
            variants.Select(variant => variant.Name));
        var techniques = variants.Select(variant => variant.Options.Techniques!).ToArray();
        Assert.Equal([false, true, false, false, false, true, true, true], techniques.Select(t => t.Sharing!.Strength > 0));
        Assert.Equal([false, false, true, false, true, false, true, true], techniques.Select(t => t.Harmonization!.Alpha > 0));
        Assert.Equal([false, false, false, true, true, true, false, true], techniques.Select(t => t.Layout!.Until > 0));
    }

    [Fact]
    public void Variants_keep_what_the_model_says_of_its_techniques()
    {
        var own = new StoryAttentionOptions { Masks = new() { Layers = "late.*" }, Sharing = new() { Layers = "mid.*" } };
        var variants = VariantList.Make(Start with { Techniques = own }, ["sharing"], ["sharing.strength=2"], ["all"]);
        Assert.All(variants, variant => Assert.Equal("late.*", variant.Options.Techniques!.Masks!.Layers));
        Assert.Equal(["mid.*", "mid.*", "mid.*"], variants.Select(variant => variant.Options.Techniques!.Sharing!.Layers));
    }

    [Fact]
    public void A_sweep_varies_one_option_of_each_base_next_to_the_plain_model()
    {
        var variants = VariantList.Make(Start, [], ["sharing.steps.to=0.5,1", "steps=3"], ["all", "sharing"]);
        Assert.Equal(
            ["plain", "all, sharing.steps.to 0.5", "all, sharing.steps.to 1", "sharing, sharing.steps.to 0.5",
                "sharing, sharing.steps.to 1", "all, steps 3", "sharing, steps 3"],
            variants.Select(variant => variant.Name));
        Assert.Equal(0.5, variants[1].Options.Techniques!.Sharing!.Steps!.To);
        Assert.Equal(new SweepPoint("sharing.steps.to", "all", "0.5", IsDefault: false), variants[1].Point);
        Assert.Equal(new SweepPoint("sharing.steps.to", "all", "1", IsDefault: true), variants[2].Point);
        Assert.Equal(0, variants[3].Options.Techniques!.Harmonization!.Alpha);
        Assert.Equal([9, 3], [variants[1].Options.Request!.Steps!.Value, variants[5].Options.Request!.Steps!.Value]);
    }

    [Fact]
    public void A_file_can_set_what_only_a_models_own_request_has()
    {
        folder.Write("variants.json", """{ "unguided": { "request": { "$type": "flux", "trueCfgScale": 1 } } }""");
        var request = Assert.IsType<FluxRequest>(
            VariantList.Make(Start, [folder.PathOf("variants.json")], [], [])[^1].Options.Request);
        Assert.Equal((1, 9), (request.TrueCfgScale, request.Steps));
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
        Assert.Equal(Start with { Techniques = Start.Techniques! with { Sharing = Start.Techniques!.Sharing! with { Strength = 2 } } },
            strong.Options);
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
        var exception = Assert.Throws<UserErrorException>(() => VariantList.Make(Start, [], [sweep], []));
        Assert.Contains(message, exception.Message);
    }

    [Fact]
    public void An_unknown_variant_is_refused() =>
        Assert.Contains("known are plain", Assert.Throws<UserErrorException>(() => VariantList.Make(Start, ["al"], [], [])).Message);

    [Fact]
    public void A_base_without_a_sweep_is_refused() =>
        Assert.Contains("no --sweep", Assert.Throws<UserErrorException>(() => VariantList.Make(Start, [], [], ["sharing"])).Message);

    [Theory]
    [InlineData("λ 4", "λ_4")]
    [InlineData("all", "All")]
    public void Variants_whose_folders_would_be_one_are_refused(string one, string other)
    {
        var path = folder.Write("v.json", $"{{ \"{one}\": {{}}, \"{other}\": {{}} }}");
        Assert.Contains("one folder", Assert.Throws<UserErrorException>(() => VariantList.Make(Start, [path], [], [])).Message);
    }

    [Theory]
    [InlineData("{\n  \"a\": {\"techniques\": {\"sharing\": {\n    \"strenght\": 1}}}\n}", "line 3, column 5: ",
        "'strenght' is not known here. Known are strength, ")]
    [InlineData("{\n  \"a\": {\"techniques\": {\"sharing\": {\n    \"strength\": \"much\"}}}\n}", "line 3, column 5: ",
        "techniques.sharing.strength")]
    [InlineData("{\n  \"a\": {\"techniques\": {\"sharing\": {\n    \"dropout\": 2}}}\n}", "line 3, column 5: ",
        "Dropout is 2; it must be between 0 and 0.99")]
    [InlineData("{ \"a\": {}, \"a\": {} }", "column 12: ", "'a' is there twice")]
    [InlineData("{ \"a\": {}", "v.json, line 1")]
    [InlineData("[]", "line 1, column 1: ", "a file of variants must be a mapping")]
    [InlineData("{ \"a\": 3 }", "line 1, column", "the value of a is not of the kind")]
    public void A_fault_in_a_file_is_named_with_its_place(string text, params string[] words)
    {
        var path = folder.Write("v.json", text);
        var message = Assert.ThrowsAny<DocumentException>(() => VariantList.Make(Start, [path], [], [])).Message;
        Assert.All(words, word => Assert.Contains(word, message));
        Assert.All((string[])["System.", "StorySync.", "(Parameter", "LineNumber"], word => Assert.DoesNotContain(word, message));
    }

    [Fact]
    public void Comments_and_names_of_any_kind_are_allowed_in_a_file()
    {
        var path = folder.Write("v.json", "{ // spoiled\n \"..\": { \"techniques\": { \"sharing\": { \"strength\": 1, } } }, }");
        Assert.Equal(["plain", ".."], VariantList.Make(Start, [path], [], []).Select(variant => variant.Name));
    }

    [Fact]
    public void A_name_that_is_too_long_for_a_folder_is_refused() => Assert.Contains("has 201 bytes", Assert.Throws<UserErrorException>(
        () => VariantList.Make(Start, [folder.Write("v.json", $"{{ \"{new string('v', 201)}\": {{}} }}")], [], [])).Message);

    public void Dispose() => folder.Dispose();
}
