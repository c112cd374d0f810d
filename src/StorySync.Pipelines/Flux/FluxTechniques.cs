using StorySync.Attention;
using StorySync.Diffusion.Flux;

namespace StorySync.Pipelines;

/// <summary>The techniques as they suit FLUX.</summary>
internal static class FluxTechniques
{
    /// <summary>Of FLUX.1's 57 blocks, double ones first, those whose attention goes by content more than by position (Wei et al.,
    /// "FreeFlux", arXiv 2503.16153).</summary>
    private static readonly int[] ContentBlocks = [0, 7, 8, 9, 10, 18, 25, 28, 37, 42, 45, 50, 56];

    private const int LastBlock = 56;

    public static StoryAttentionOptions For(FluxTransformer2DConfig config, bool fewSteps)
    {
        var (content, masks) = (ContentLayers(config), new MaskOptions());
        if (config.NumLayers > 0)
        {
            // In the later double blocks image tokens know best which words they are of; all of them are seen before the first step
            // reaches the single blocks.
            var first = config.NumLayers / 2;
            masks = new MaskOptions
            {
                Layers = Layers(config, Enumerable.Range(first, config.NumLayers - first)),
                ReadyAfterLayers = fewSteps ? config.NumLayers - first : 0,
            };
        }

        return new StoryAttentionOptions
        {
            Masks = masks,
            Sharing = new SharingOptions { Layers = content },
            Harmonization = new HarmonizationOptions { Layers = content, Steps = fewSteps ? new StepRange(0.25, 0.75) : null },
            Layout = new LayoutOptions { Until = fewSteps ? 0.25 : null },
            Location = new LocationOptions { Layers = content },
        };
    }

    /// <summary>The content blocks; in a model of another depth those at the same part of the way through.</summary>
    private static string ContentLayers(FluxTransformer2DConfig config)
    {
        var last = config.NumLayers + config.NumSingleLayers - 1;
        return last < 0 ? "*" : Layers(config, ContentBlocks.Select(block => (int)Math.Round((double)block * last / LastBlock)).Distinct());
    }

    private static string Layers(FluxTransformer2DConfig config, IEnumerable<int> blocks) => string.Join(", ", blocks.Select(block =>
        block < config.NumLayers ? $"transformer_blocks.{block}.attn" : $"single_transformer_blocks.{block - config.NumLayers}.attn"));
}
