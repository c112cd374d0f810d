using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Lets image tokens outside a subject's region turn from its words, in the positive half of both branches, after another
/// processor has attended.</summary>
internal sealed class PlacementProcessor(StoryState story, IAttentionProcessor inner) : IAttentionProcessor
{
    public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
    {
        var attended = inner.Attend(layer, inputs, context);
        if (!story.Places(layer, context))
        {
            return attended;
        }

        if (inputs.Mask is { } mask && (mask.shape[1] != 1 || mask.shape[2] != 1))
        {
            throw new NotSupportedException(
                $"Layer '{layer.Path}' masks its attention by query or head, which placement cannot combine with. Leave the layer out by " +
                $"{nameof(PlacementOptions)}.{nameof(PlacementOptions.Layers)}.");
        }

        // Of the rows of both branches, or of one of them.
        using var scope = NewDisposeScope();
        var batch = story.BatchOf(context);
        var positive = inputs.Query.shape[0] / (batch.Guidance ? 2 : 1);
        var rows = new ImageRows(positive / batch.Scenes, batch.Scenes, inputs.Query.shape[0] - positive);
        return story.Regions.Apply(
            story.Writable(attended), inputs.Query, inputs.Key, inputs.Value, inputs.Mask, inputs.Grid,
            layer.Kind == AttentionKind.Joint ? inputs.TextTokens : 0, inputs.TextTokens, rows).MoveToOuterDisposeScope();
    }
}
