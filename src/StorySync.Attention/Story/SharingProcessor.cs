using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Shares attention among the modified branch's scenes; another processor attends in the unmodified branch, and where
/// nothing is shared.</summary>
internal sealed class SharingProcessor(StoryState story, SharingOptions options, IAttentionProcessor inner) : IAttentionProcessor
{
    private readonly LayerFilter layers = new(options.Layers!);

    public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
    {
        if (options.Strength == 0 || !options.Steps!.Contains(context.Step, context.Steps) || !layers.Contains(layer.Path)
            || story.TokensOf(layer, inputs) is not { } tokens)
        {
            return inner.Attend(layer, inputs, context);
        }

        if (inputs.Mask is not null)
        {
            throw new NotSupportedException(
                $"Layer '{layer.Path}' masks its {layer.Kind} attention, which sharing cannot combine with. Leave the layer out by " +
                $"{nameof(SharingOptions)}.{nameof(SharingOptions.Layers)}.");
        }

        if (!SharedAttention.IsRead(tokens, options))
        {
            return inner.Attend(layer, inputs, context);
        }

        using var scope = NewDisposeScope();
        var batch = story.BatchOf(context);
        var rotary = options.MatchPositions == true ? inputs.Rotary : null;
        if (SharedAttention.ReadsInPlace(inputs.Query, inputs.Key, inputs.Value, rotary))
        {
            var shared = SharedAttention.InPlace(
                batch.Modified(inputs.Query), batch.Modified(inputs.Key), batch.Modified(inputs.Value), tokens, options, SeedOf);
            var unmodified = batch.HasBase ? inner.Attend(layer, Unmodified(batch, inputs), context) : null;
            return batch.Join(shared, unmodified).MoveToOuterDisposeScope();
        }

        var attended = story.Writable(inner.Attend(layer, inputs, context));
        return SharedAttention.Overwrite(
            attended, inputs.Query, inputs.Key, inputs.Value, tokens, batch.ModifiedRows, options, SeedOf,
                rotary).MoveToOuterDisposeScope();

        // By scene, step and layer, whatever ran before and whatever else is in the batch.
        string SeedOf(int scene) => $"{story.Seeds[scene]}/{context.Step}/{layer.Path}";
    }

    private static AttentionInputs Unmodified(StoryBatch batch, AttentionInputs inputs) => inputs with
    {
        Query = batch.Unmodified(inputs.Query),
        Key = batch.Unmodified(inputs.Key),
        Value = batch.Unmodified(inputs.Value),
    };
}
