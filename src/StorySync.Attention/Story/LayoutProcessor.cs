using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Mixes the unmodified branch's queries into the modified one's before another processor attends.</summary>
internal sealed class LayoutProcessor(StoryState story, LayoutOptions options, IAttentionProcessor inner) : IAttentionProcessor
{
    private readonly LayerFilter layers = new(options.Layers!);

    public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
    {
        var batch = story.BatchOf(context);
        if (!batch.HasBase || layer.Kind == AttentionKind.Cross || !layers.Contains(layer.Path))
        {
            return inner.Attend(layer, inputs, context);
        }

        using var scope = NewDisposeScope();
        var query = inputs.Query.clone();
        var branches = batch.ByBranch(query);
        LayoutInterpolation.Mix(Image(branches.select(1, 0)), Image(branches.select(1, 1)), options.WeightAt(context.Step, context.Steps));
        return inner.Attend(layer, inputs with { Query = query }, context).MoveToOuterDisposeScope();

        // (halves, scenes, heads, tokens, width)
        Tensor Image(Tensor tokens) => tokens.narrow(3, inputs.TextTokens, tokens.shape[3] - inputs.TextTokens);
    }
}
