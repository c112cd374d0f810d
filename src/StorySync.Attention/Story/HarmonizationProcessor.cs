using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Blends the modified branch's subject tokens after another processor has attended; heads are compared and blended as
/// one.</summary>
internal sealed class HarmonizationProcessor(StoryState story, HarmonizationOptions options, IAttentionProcessor inner)
    : IAttentionProcessor
{
    private readonly LayerFilter layers = new(options.Layers!);

    public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
    {
        var attended = inner.Attend(layer, inputs, context);
        if (options.Alpha == 0 || !options.Steps!.Contains(context.Step, context.Steps) || !layers.Contains(layer.Path)
            || story.TokensOf(layer, inputs) is not { } tokens)
        {
            return attended;
        }

        using var scope = NewDisposeScope();
        var merged = story.Writable(attended).transpose(1, 2).contiguous().flatten(2);
        Harmonization.Blend(
            merged, merged, tokens, story.BatchOf(context).ModifiedRows, options.Alpha!.Value, options.Threshold!.Value,
                options.Temperature!.Value);
        return merged.unflatten(2, [attended.shape[1], attended.shape[3]]).transpose(1, 2).MoveToOuterDisposeScope();
    }
}
