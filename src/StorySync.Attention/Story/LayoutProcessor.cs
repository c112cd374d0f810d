using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Mixes the unmodified branch's queries into the modified one's before another processor attends.</summary>
internal sealed class LayoutProcessor(StoryState story, LayoutOptions options, IAttentionProcessor inner) : IAttentionProcessor
{
    private readonly LayerFilter layers = new(options.Layers);

    public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
    {
        var batch = story.BatchOf(context);
        if (!batch.HasBase || layer.Kind == AttentionKind.Cross || !layers.Contains(layer.Path))
        {
            return inner.Attend(layer, inputs, context);
        }

        using var scope = NewDisposeScope();
        var text = inputs.TextTokens;
        var (query, baseQuery) = (batch.Modified(inputs.Query), batch.Unmodified(inputs.Query));
        var mixed = LayoutInterpolation.Apply(Image(query), Image(baseQuery), options.WeightAt(context.Step, context.Steps));
        if (text > 0)
        {
            mixed = cat([query.narrow(2, 0, text), mixed], 2);
        }

        return inner.Attend(layer, inputs with { Query = batch.Join(mixed, baseQuery) }, context).MoveToOuterDisposeScope();

        Tensor Image(Tensor tokens) => tokens.narrow(2, text, tokens.shape[2] - text);
    }
}
