using StorySync.Attention;
using StorySync.Pipelines;

namespace StorySync.Samples.Evaluate;

/// <summary>The paper's ablation: the plain model, each technique alone, each left out, all.</summary>
internal static class BuiltInVariants
{
    public const string Plain = "plain";
    public const string All = "all";

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
}
