using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>What the techniques of one run have in common.</summary>
internal sealed class StoryState(
    StoryAttentionOptions options,
    int scenes,
    bool guidance,
    StepRange guidedSteps,
    SubjectMasks masks,
    SubjectRegions regions,
    IAttentionProcessor inner)
{
    private readonly LayerFilter sharing = new(options.Sharing!.Layers!);
    private readonly LayerFilter harmonization = new(options.Harmonization!.Layers!);
    private readonly LayerFilter location = new(options.Location!.Layers!);
    private readonly LayerFilter placement = new(options.Placement!.Layers!);
    private readonly HashSet<string> passedWithoutMasks = [];

    /// <summary>Gets or sets what decides, scene by scene, which tokens dropout drops.</summary>
    public required IReadOnlyList<long> Seeds { get; set; }

    /// <summary>Gets or sets what the scenes' tokens are written to.</summary>
    public IKeyBank? Recorder { get; set; }

    /// <summary>Gets or sets the anchors that the scenes read.</summary>
    public IKeyBank? Keys { get; set => (field, ReadsKept) = (value, value is not null); }

    /// <summary>Gets or sets a value indicating whether scenes read kept anchors, so that even one by itself has an unmodified
    /// branch.</summary>
    public bool ReadsKept { get; set; }

    /// <summary>Gets the regions that subjects are given.</summary>
    public SubjectRegions Regions => regions;

    /// <summary>Returns the order of a step's rows.</summary>
    public StoryBatch BatchAt(int step, int steps) => new(
        scenes, guidance && guidedSteps.Contains(step, steps),
        (scenes > 1 || ReadsKept) && options.Layout!.NeedsBase(step, steps));

    /// <summary>Returns the order of the rows of the forward pass under way.</summary>
    public StoryBatch BatchOf(AttentionContext context)
    {
        var batch = BatchAt(context.Step, context.Steps);
        return context.Branch is null ? batch : batch with { Guidance = false };
    }

    /// <summary>Returns what the queries of a layer read of other scenes.</summary>
    public Sharing SharingAt(AttentionLayer layer, AttentionContext context) => new(
        IsAt(options.Sharing!.Steps!, sharing, layer, context) ? options.Sharing.Strength!.Value : 0,
        Background: options.Sharing.SubjectQueriesOnly == false,
        IsLocated(layer, context) ? options.Location!.Strength!.Value : 0,
        Placed: Places(layer, context));

    /// <summary>Returns the share of other scenes in a subject's token after a layer, and in a token of no subject.</summary>
    public (double Subjects, double Location) AlphaAt(AttentionLayer layer, AttentionContext context) => (
        IsAt(options.Harmonization!.Steps!, harmonization, layer, context) ? options.Harmonization.Alpha!.Value : 0,
        IsLocated(layer, context) ? options.Location!.Alpha!.Value : 0);

    /// <summary>Returns a value indicating whether the halves of a call's batch are attended one after the other: scenes read each other in
    /// the positive one alone, or turn from words there and read kept anchors.</summary>
    public bool SplitsHalves(AttentionLayer layer, AttentionInputs inputs, AttentionContext context) =>
        (options.NegativeHalf == false || (Keys is not null && Places(layer, context)))
        && BatchOf(context).Guidance && TokensOf(layer, inputs) is not null
        && (SharingAt(layer, context).IsOn || AlphaAt(layer, context) is not (0, 0));

    /// <summary>Returns a value indicating whether image tokens outside a subject's region turn from its words, which stand in the positive
    /// prompt.</summary>
    public bool Places(AttentionLayer layer, AttentionContext context) =>
        regions.Any && options.Placement!.IsOn && layer.Kind != AttentionKind.Self && context.Branch != GuidanceBranch.Unconditional
        && context.Step < options.Placement.Until * context.Steps && placement.Contains(layer.Path);

    /// <summary>Makes a result one that a technique may write to: plain attention's belongs to nobody else.</summary>
    public Tensor Writable(Tensor attended) => inner is PlainAttention ? attended : attended.clone();

    /// <summary>Returns the guidance halves of the forward pass under way, in order.</summary>
    public IReadOnlyList<GuidanceBranch> HalvesOf(AttentionContext context) => context.Branch is { } one ? [one]
        : BatchOf(context).Guidance ? [GuidanceBranch.Unconditional, GuidanceBranch.Conditional] : [GuidanceBranch.Conditional];

    /// <summary>Returns the kept anchors that the scenes read in a call; null if there are none.</summary>
    public KeptAnchors? KeptAt(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
    {
        if (Keys is null)
        {
            return null;
        }

        var halves = HalvesOf(context).Select(half => Keys.Read(new(context.Step, layer.Path, half))).OfType<KeptKeys>().ToList();
        return halves.Count < HalvesOf(context).Count ? null
            : new(halves, masks.TokensWith(halves[0].Positions, inputs.Grid, inputs.TextTokens, inputs.Query.device));
    }

    /// <summary>Returns where the subjects are among the tokens of a call; null if the layer does not mix image tokens, there is a single
    /// scene with no other to read or to be read by, or there are no masks yet.</summary>
    public SubjectTokens? TokensOf(AttentionLayer layer, AttentionInputs inputs) =>
        layer.Kind == AttentionKind.Cross || passedWithoutMasks.Contains(layer.Path) || (scenes == 1 && Keys is null && Recorder is null)
            ? null
            : masks.TokensOn(inputs.Grid, inputs.TextTokens, inputs.Query.device, always: Keys is not null);

    /// <summary>Returns what a recorder gets of a layer in a step: of how many halves, and how many tensors (keys, values, outputs) of them
    /// all.</summary>
    public (int Halves, int Parts) RecordedAt(AttentionLayer layer, int step, int steps)
    {
        var (halves, parts) = (0, 0);
        foreach (var half in HalvesOf(new AttentionContext { Step = step, Steps = steps }))
        {
            var context = new AttentionContext { Step = step, Steps = steps, Branch = half };
            var isHarmonized = AlphaAt(layer, context) is not (0, 0);
            if (isHarmonized || SharingAt(layer, context).IsOn)
            {
                (halves, parts) = (halves + 1, parts + (isHarmonized ? 3 : 2));
            }
        }

        return (halves, parts);
    }

    /// <summary>Remembers a layer that the positive half passes before there are masks: the negative half, where it comes after it, passes
    /// the layer without masks too, as both do in one batch.</summary>
    public void Pass(AttentionLayer layer, AttentionInputs inputs)
    {
        if (TokensOf(layer, inputs) is null)
        {
            passedWithoutMasks.Add(layer.Path);
        }
    }

    /// <summary>Ends a step.</summary>
    public void CompleteStep() => passedWithoutMasks.Clear();

    private bool IsAt(StepRange steps, LayerFilter layers, AttentionLayer layer, AttentionContext context) =>
        (options.NegativeHalf == true || context.Branch != GuidanceBranch.Unconditional)
        && steps.Contains(context.Step, context.Steps) && layers.Contains(layer.Path);

    private bool IsLocated(AttentionLayer layer, AttentionContext context) =>
        masks.Locations is not null && IsAt(options.Location!.Steps!, location, layer, context);
}
