using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>What the techniques of one run have in common.</summary>
internal sealed class StoryState(
    StoryAttentionOptions options, int scenes, bool guidance, StepRange guidedSteps, SubjectMasks masks, IAttentionProcessor inner)
{
    /// <summary>Gets or sets what decides, scene by scene, which tokens dropout drops.</summary>
    public required IReadOnlyList<long> Seeds { get; set; }

    /// <summary>The order of a step's rows.</summary>
    public StoryBatch BatchAt(int step, int steps) => new(
        scenes, guidance && guidedSteps.Contains(step, steps), scenes > 1 && options.Layout!.NeedsBase(step, steps));

    /// <summary>The order of the rows of the forward pass under way.</summary>
    public StoryBatch BatchOf(AttentionContext context)
    {
        var batch = BatchAt(context.Step, context.Steps);
        return context.Branch is null ? batch : batch with { Guidance = false };
    }

    /// <summary>Makes a result one that a technique may write to: plain attention's belongs to nobody else.</summary>
    public Tensor Writable(Tensor attended) => inner is PlainAttention ? attended : attended.clone();

    /// <summary>Where the subjects are among the tokens of a call; null if the layer does not mix image tokens, there is a single scene,
    /// or there are no masks yet.</summary>
    public SubjectTokens? TokensOf(AttentionLayer layer, AttentionInputs inputs) =>
        layer.Kind == AttentionKind.Cross || scenes == 1
            ? null
            : masks.TokensOn(inputs.Grid, inputs.TextTokens, inputs.Query.device);
}
