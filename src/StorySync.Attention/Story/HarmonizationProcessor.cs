using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Blends the modified branch's subject tokens, and those of no subject in scenes of one location, after another processor has
/// attended; heads are compared and blended as one.</summary>
internal sealed class HarmonizationProcessor(StoryState story, HarmonizationOptions options, IAttentionProcessor inner)
    : IAttentionProcessor
{
    public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
    {
        var attended = inner.Attend(layer, inputs, context);
        var alpha = story.AlphaAt(layer, context);
        if (alpha is (0, 0) || story.TokensOf(layer, inputs) is not { } tokens)
        {
            return attended;
        }

        using var scope = NewDisposeScope();
        var merged = story.Writable(attended).transpose(1, 2).contiguous().flatten(2);
        var rows = story.BatchOf(context).ModifiedRows;
        for (var subject = 0; subject <= tokens.Location; subject++)
        {
            Harmonization.Blend(
                merged, merged, tokens, subject, rows, subject == tokens.Location ? alpha.Location : alpha.Subjects,
                options.Threshold!.Value, options.Temperature!.Value);
        }

        return merged.unflatten(2, [attended.shape[1], attended.shape[3]]).transpose(1, 2).MoveToOuterDisposeScope();
    }
}
