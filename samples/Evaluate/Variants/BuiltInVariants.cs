using StorySync.Attention;
using StorySync.Pipelines;

namespace StorySync.Samples.Evaluate;

/// <summary>The paper's ablation: the plain model, each technique alone, each left out, all.</summary>
internal static class BuiltInVariants
{
    public const string Plain = "plain";
    public const string All = "all";

    /// <summary>The name of <see cref="Anchored"/> together, after "all".</summary>
    public const string Anchors = "anchors";

    /// <param name="options">What the variants have in common; its techniques, which must be there, are those of "all".</param>
    public static IReadOnlyList<Variant> Of(StoryOptions options)
    {
        var on = options.Techniques!;
        var off = StoryAttentionOptions.Disabled.Over(on);
        Variant Named(string name, StoryAttentionOptions techniques) => new(name, options with { Techniques = techniques });
        return
        [
            Named(Plain, off),
            Named("sharing", off with { Sharing = on.Sharing }),
            Named("harmonization", off with { Harmonization = on.Harmonization }),
            Named("layout", off with { Layout = on.Layout }),
            Named("without-sharing", on with { Sharing = off.Sharing }),
            Named("without-harmonization", on with { Harmonization = off.Harmonization }),
            Named("without-layout", on with { Layout = off.Layout }),
            Named(All, on),
        ];
    }

    /// <summary>Scenes that read anchors: one or two, those of a bank that was written and read, an image of the user's.</summary>
    /// <param name="options">What the variants have in common.</param>
    public static IReadOnlyList<Variant> Anchored(StoryOptions options) =>
    [
        new("one-anchor", options with { Anchors = 1 }),
        new("two-anchors", options with { Anchors = 2 }),
        new("bank", options with { Anchors = 2 }) { AnchorsFrom = AnchorSource.Bank },
        new("bank-keys", options with { Anchors = 2, BankForm = StoryBankForm.Keys }) { AnchorsFrom = AnchorSource.Bank },
        new("image", options with { Anchors = 1 }) { AnchorsFrom = AnchorSource.Image },
    ];
}
