using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Shares attention among the modified branch's scenes; another processor attends in the unmodified branch, and where
/// nothing is shared.</summary>
internal sealed class SharingProcessor(StoryState story, SharingOptions options, IAttentionProcessor inner) : IAttentionProcessor
{
    public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
    {
        var sharing = story.SharingAt(layer, context);
        if (!sharing.IsOn || story.TokensOf(layer, inputs) is not { } tokens)
        {
            return inner.Attend(layer, inputs, context);
        }

        if (inputs.Mask is not null)
        {
            throw new NotSupportedException(
                $"Layer '{layer.Path}' masks its {layer.Kind} attention, which sharing cannot combine with. Leave the layer out by " +
                $"{nameof(SharingOptions)}.{nameof(SharingOptions.Layers)}.");
        }

        var kept = story.KeptAt(layer, inputs, context);
        tokens = kept?.Tokens ?? tokens;
        if (tokens.Readings(sharing with { Placed = false }).Count == 0)
        {
            return inner.Attend(layer, inputs, context);
        }

        using var scope = NewDisposeScope();
        var batch = story.BatchOf(context);
        var rotary = options.MatchPositions == true ? inputs.Rotary : null;
        if (SharedAttention.ReadsInPlace(inputs.Query, inputs.Key, inputs.Value, rotary))
        {
            var (query, key, value) = (batch.Modified(inputs.Query), batch.Modified(inputs.Key), batch.Modified(inputs.Value));
            Tensor[] parts = [.. Parts(new(batch.Halves, batch.Scenes)).Select(part => SharedAttention.InPlace(
                Of(query, part.Rows), Of(key, part.Rows), Of(value, part.Rows), tokens, part.Sharing, options.Dropout!.Value, SeedOf,
                kept?.InPlace()))];
            var unmodified = batch.HasBase ? inner.Attend(layer, Unmodified(batch, inputs), context) : null;
            return batch.Join(parts is [var whole] ? whole : cat(parts), unmodified).MoveToOuterDisposeScope();
        }

        var attended = story.Writable(inner.Attend(layer, inputs, context));
        foreach (var part in Parts(batch.ModifiedRows))
        {
            attended = SharedAttention.Overwrite(
                attended, inputs.Query, inputs.Key, inputs.Value, tokens, part.Rows, part.Sharing, options.Dropout!.Value, SeedOf, rotary,
                kept);
        }

        return attended.MoveToOuterDisposeScope();

        // By scene, step and layer, whatever ran before and whatever else is in the batch.
        string SeedOf(int image) => $"{story.Seeds[image - (kept?.Count ?? 0)]}/{context.Step}/{layer.Path}";

        // Placed are the queries of the positive half alone.
        IReadOnlyList<(ImageRows Rows, Sharing Sharing)> Parts(ImageRows rows) => sharing.Placed && batch.Guidance
            ? [(rows.Only(0), sharing with { Placed = false }), (rows.Only(1), sharing)]
            : [(rows, sharing)];

        Tensor Of(Tensor modified, ImageRows rows) => modified.narrow(0, rows.First, rows.Repeats * batch.Scenes);
    }

    private static AttentionInputs Unmodified(StoryBatch batch, AttentionInputs inputs) => inputs with
    {
        Query = batch.Unmodified(inputs.Query),
        Key = batch.Unmodified(inputs.Key),
        Value = batch.Unmodified(inputs.Value),
    };
}
