namespace StorySync.Pipelines.Tests;

public class GenerationRequestTests(StorybookModel model) : IClassFixture<StorybookModel>
{
    private static readonly GenerationRequest Good = new() { Prompts = ["a cat"], Steps = 1, Seed = 0 };
    private static readonly RgbImage Picture = new(16, 16, new byte[16 * 16 * 3]);

    public static TheoryData<string, GenerationRequest> Mistakes() => new()
    {
        { "Prompts is empty", Good with { Prompts = [] } },
        { "Steps is 0", Good with { Steps = 0 } },
        { "ImagesPerPrompt is 0", Good with { ImagesPerPrompt = 0 } },
        { "GuidanceScale is NaN", Good with { GuidanceScale = double.NaN } },
        { "GuidanceEnd is 0;", Good with { GuidanceEnd = 0 } },
        { "GuidanceEnd is 2;", Good with { GuidanceEnd = 2 } },
        { "GuidanceEnd is NaN", Good with { GuidanceEnd = double.NaN } },
        { "BlockCacheThreshold is -1", Good with { BlockCacheThreshold = -1 } },
        { "BlockCacheThreshold is NaN", Good with { BlockCacheThreshold = double.NaN } },
        { "NegativePrompts has 2", Good with { NegativePrompts = ["a", "b"] } },
        { "Seeds has 2", Good with { Seeds = [1, 2] } },
        { "129×128", Good with { Width = 129 } },
        { "Strength is 0", Good with { Images = [Picture], Strength = 0 } },
        { "no image in Images", Good with { Mask = Picture } },
        { "leaves none", Good with { Images = [Picture], Strength = 0.1 } },
        { "The mask is 8×8", Good with { Images = [Picture], Strength = 1, Mask = new RgbImage(8, 8, new byte[192]) } },
        { "Eta is 2", Good with { Eta = 2 } },
        { "ClipSkip is 9", new StableDiffusionXLRequest { Prompts = ["a cat"], ClipSkip = 9 } },
        { "GuidanceRescale is 2", new StableDiffusionXLRequest { Prompts = ["a cat"], GuidanceRescale = 2 } },
        { "Prompts2 has 3", new StableDiffusionXLRequest { Prompts = ["a cat"], Prompts2 = ["a", "b", "c"] } },
    };

    [Theory]
    [MemberData(nameof(Mistakes), DisableDiscoveryEnumeration = true)]
    public void A_mistake_is_one_clear_error(string part, GenerationRequest request) =>
        Assert.Contains(part, Assert.Throws<ArgumentException>(() => model.Pipeline.Generate(request)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_picture_depends_on_its_own_seed_only()
    {
        using var several = model.Pipeline.Generate(Good with { Steps = 2, GuidanceScale = 1, ImagesPerPrompt = 3, Seed = 4 });
        using var one = model.Pipeline.Generate(Good with { Steps = 2, GuidanceScale = 1, Seeds = [6] });

        Assert.Equal([4, 5, 6], several.Seeds);
        var off = several.Images[2].Pixels.ToArray().Zip(one.Images[0].Pixels.ToArray(), (a, b) => Math.Abs(a - b)).Max();
        Assert.InRange(off, 0, 1);
        Assert.False(several.Images[0].Pixels.SequenceEqual(several.Images[2].Pixels));
    }
}
