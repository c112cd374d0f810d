using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Combines StorySync's techniques for one run: keeps the subjects of several scenes, denoised as one batch, the same.</summary>
/// <remarks>
/// Make one per run and set it as the processor of its run. In each step, build the batch that <see cref="BatchAt"/>
/// describes, call the model, take the modified branch's rows of its answer (<see cref="StoryBatch.Modified"/>), and call
/// <see cref="CompleteStep"/>: the masks of a step are used in the next one. The unmodified branch starts from the same noise and
/// prompts and is denoised by itself while the batch has it. A step may also be made of two calls, the positive half first, each with
/// its half of the rows (<see cref="AttentionContext.Branch"/>): that takes half the memory.
/// <para>Attention is shared and harmonized in both guidance halves, each by itself, with the same masks, or in the positive one alone
/// (<see cref="StoryAttentionOptions.NegativeHalf"/>); the masks come from the positive half of the modified branch.</para>
/// <para>Where nothing is to be done, a call goes to the inner processor as it came: with every technique off, or with one scene, the
/// result is the plain model's to the last bit.</para>
/// <para>Not thread-safe; a run is one sequence of steps.</para>
/// </remarks>
public sealed class StoryAttention : IAttentionProcessor, IDisposable
{
    private readonly StoryAttentionOptions options;
    private readonly StoryState story;
    private readonly SubjectMaps? maps;
    private readonly SubjectMasks masks;
    private readonly SubjectRegions regions;
    private readonly HarmonizationProcessor techniques;
    private int step;

    /// <summary>Initializes a new instance of the <see cref="StoryAttention"/> class for one run.</summary>
    /// <param name="options">What is done.</param>
    /// <param name="subjects">The story's subjects.</param>
    /// <param name="scenes">The number of scenes, at least 1.</param>
    /// <param name="guidance">Whether the batches have a negative half before the positive one.</param>
    /// <param name="seed">Decides which tokens <see cref="SharingOptions.Dropout"/> drops; see <see cref="Seeds"/>.</param>
    /// <param name="inner">Attends where the techniques do not; null for plain attention.</param>
    /// <param name="guidanceEnd">The first share of the steps, 0 … 1, in which batches have the negative half.</param>
    /// <exception cref="ArgumentException">A subject does not have one entry per scene, a negative token position, or a mask that is
    /// not two-dimensional; or <paramref name="guidanceEnd"/> is out of range.</exception>
    public StoryAttention(
        StoryAttentionOptions options,
        IReadOnlyList<StorySubject> subjects,
        int scenes,
        bool guidance,
        long seed = 0,
        IAttentionProcessor? inner = null,
        double guidanceEnd = 1)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(subjects);
        ArgumentOutOfRangeException.ThrowIfLessThan(scenes, 1);
        foreach (var subject in subjects)
        {
            Check(subject, scenes);
        }

        this.options = options = options.Over(StoryAttentionOptions.Default);
        regions = new SubjectRegions(subjects, scenes, options.Placement!.Strength!.Value);
        masks = new SubjectMasks(subjects, scenes, regions, options.Masks!);
        maps = subjects.Any(subject => subject.Tokens.Any(tokens => tokens.Count > 0))
            ? new SubjectMaps(subjects, scenes, regions, options.Masks!)
            : null;
        inner ??= PlainAttention.Instance;
        story = new StoryState(options, scenes, guidance, new StepRange(0, guidanceEnd), masks, regions, inner)
        {
            Seeds = [.. Enumerable.Range(0, scenes).Select(scene => seed + scene)],
        };
        techniques = new HarmonizationProcessor(
            story,
            options.Harmonization!,
            new LayoutProcessor(
                story,
                options.Layout!,
                new SharingProcessor(story, options.Sharing!, new PlacementProcessor(story, inner))));
    }

    /// <summary>Gets whether a scene (first argument, from 0) reads another (second): only then does it take cross-image tokens
    /// (<see cref="SharedAttention"/>) and matches (<see cref="Harmonization"/>) from it. Null (default): each reads all others.</summary>
    /// <remarks>Where some scenes, the anchors, read each other and every other scene reads the anchors alone, what is computed for a
    /// scene does not depend on the other scenes of the batch. So that it does not to the last bit either, the anchors come first, in the
    /// same order.</remarks>
    public Func<int, int, bool>? Reads { get; init => masks.Reads = field = value; }

    /// <summary>Gets a seed for each scene: which tokens <see cref="SharingOptions.Dropout"/> drops for a scene is decided by its seed, the
    /// step, the layer and the subject, and by nothing else of the batch. Default: the constructor's seed plus the scene's index.</summary>
    /// <exception cref="ArgumentException">There is not one seed per scene.</exception>
    public IReadOnlyList<long> Seeds
    {
        get => story.Seeds;
        init
        {
            ArgumentNullException.ThrowIfNull(value);
            story.Seeds = value.Count == story.Seeds.Count
                ? [.. value]
                : throw new ArgumentException($"There are {value.Count} seeds, but {story.Seeds.Count} scenes.", nameof(value));
        }
    }

    /// <summary>Gets where each scene is: those of the same location, by any name, share what belongs to no subject, as
    /// <see cref="LocationOptions"/> say and within <see cref="Reads"/>. Null, for a scene or (default) for all: it shares none.</summary>
    /// <exception cref="ArgumentException">There is not one location per scene.</exception>
    public IReadOnlyList<string?>? Locations
    {
        get => masks.Locations;
        init => masks.Locations = value is null || value.Count == story.Seeds.Count
            ? value?.ToArray()
            : throw new ArgumentException($"There are {value.Count} locations, but {story.Seeds.Count} scenes.", nameof(value));
    }

    /// <summary>Gets what the subjects' tokens of all scenes are written to, call by call, where sharing or harmonization are on; null
    /// (default) for nothing.</summary>
    public IKeyBank? Recorder { get => story.Recorder; init => story.Recorder = value; }

    /// <summary>Gets the kept anchors that every scene reads, as if they stood before the scenes in the batch; null (default) for none.
    /// Their subjects are these subjects, in the same order.</summary>
    public IKeyBank? Keys { get => story.Keys; init => story.Keys = value; }

    /// <summary>Gets where each kept anchor is, to share with scenes of the same of <see cref="Locations"/>; null (default) for
    /// nowhere.</summary>
    public IReadOnlyList<string?>? KeptLocations { get => masks.KeptLocations; init => masks.KeptLocations = value; }

    /// <summary>Returns the rows that the batch of a step must have.</summary>
    /// <param name="step">The step, 0 … <paramref name="steps"/> − 1.</param>
    /// <param name="steps">The number of steps of the run.</param>
    public StoryBatch BatchAt(int step, int steps) => story.BatchAt(step, steps);

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The batch does not have the rows of <see cref="BatchAt"/>.</exception>
    /// <exception cref="InvalidOperationException">A new step began without <see cref="CompleteStep"/> for the one before.</exception>
    public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
    {
        ArgumentNullException.ThrowIfNull(layer);
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentNullException.ThrowIfNull(context);
        var batch = story.BatchOf(context);
        if (inputs.Query.shape[0] != batch.Rows)
        {
            throw new ArgumentException(
                $"Step {context.Step} of {context.Steps} needs {batch.Rows} rows ({batch}), but layer '{layer.Path}' has " +
                $"{inputs.Query.shape[0]}. Build the batch as {nameof(BatchAt)} says.",
                nameof(inputs));
        }

        if (maps is not null && layer.Kind != AttentionKind.Self && context.Branch != GuidanceBranch.Unconditional)
        {
            Collect(maps, layer, inputs, batch, context);
        }

        if (options.Masks!.ReadyAfterLayers > 0 && context.Branch == GuidanceBranch.Conditional)
        {
            story.Pass(layer, inputs);
        }

        return story.SplitsHalves(layer, inputs, context)
            ? AttendByHalf(layer, inputs, context)
            : techniques.Attend(layer, inputs, context);
    }

    /// <summary>Ends a step: the masks that the next one uses are made from what this and the steps before have shown.</summary>
    public void CompleteStep()
    {
        using var scope = NewDisposeScope();
        story.CompleteStep();
        if (maps?.Average() is { } average)
        {
            masks.Update(average);
            maps.CompleteStep(average);
        }
    }

    /// <summary>Sets a subject's mask in a scene: from the next call on it is this one, whatever the text shows. For scenes whose masks are
    /// kept from an earlier run; one whose masks are all set needs no token positions.</summary>
    /// <param name="scene">The scene, from 0.</param>
    /// <param name="subject">The subject, from 0.</param>
    /// <param name="mask">(height, width) at any resolution, nonzero where the subject is; it is copied. Null: the scene lacks the
    /// subject.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such scene or subject.</exception>
    /// <exception cref="ArgumentException">The mask is not two-dimensional.</exception>
    public void SetMask(int scene, int subject, Tensor? mask) => masks.Set(scene, subject, mask);

    /// <summary>Returns a subject's mask as it stands: the given one, or the one found so far; until then its region, if it has
    /// one.</summary>
    /// <param name="scene">The scene, from 0.</param>
    /// <param name="subject">The subject, from 0.</param>
    /// <returns>A copy on the host, bool, (height, width) of its own grid, for the caller to dispose; null while there is none.</returns>
    public Tensor? MaskOf(int scene, int subject = 0) => masks.MaskOf(scene, subject);

    /// <summary>Returns the map that a subject's mask was cut from.</summary>
    /// <param name="scene">The scene, from 0.</param>
    /// <param name="subject">The subject, from 0.</param>
    /// <returns>A copy on the host, float32, (height, width), scaled to [0, 1], for the caller to dispose; null while there is
    /// none.</returns>
    public Tensor? MapOf(int scene, int subject = 0) => masks.MapOf(scene, subject);

    /// <summary>Gets a value indicating whether batches are those of scenes that read kept anchors, though there are none.</summary>
    internal bool ReadsKept { get => story.ReadsKept; init => story.ReadsKept = value; }

    /// <inheritdoc cref="StoryState.RecordedAt"/>
    internal (int Halves, int Parts) RecordedAt(AttentionLayer layer, int step, int steps) => story.RecordedAt(layer, step, steps);

    /// <summary>Finds the regions that were too small for the grids of all layers so far, by scene and subject.</summary>
    internal IEnumerable<(int Scene, int Subject)> FindUnplaced() => regions.FindUnplaced();

    /// <inheritdoc/>
    public void Dispose()
    {
        maps?.Dispose();
        masks.Dispose();
        regions.Dispose();
    }

    private static void Check(StorySubject subject, int scenes)
    {
        if (subject.Tokens.Count != scenes || (subject.Masks?.Count ?? scenes) != scenes
            || (subject.Regions?.Count ?? scenes) != scenes)
        {
            throw new ArgumentException(
                $"The subject '{subject.Name}' has token positions for {subject.Tokens.Count} scenes" +
                (subject.Masks is null ? "" : $" and masks for {subject.Masks.Count}") +
                (subject.Regions is null ? "" : $" and regions for {subject.Regions.Count}") + $", but there are {scenes} scenes.",
                nameof(subject));
        }

        if (subject.Tokens.Any(tokens => tokens.Any(token => token < 0)))
        {
            throw new ArgumentException($"The subject '{subject.Name}' has a negative token position.", nameof(subject));
        }

        foreach (var mask in subject.Masks ?? [])
        {
            SubjectMasks.Check(subject, mask, nameof(subject));
        }

        foreach (var (scene, region) in (subject.Regions ?? []).Index())
        {
            SubjectMasks.Check(subject, region, nameof(subject), "region");
            if (region is not null && subject.Tokens[scene].Count == 0)
            {
                throw new ArgumentException(
                    $"The subject '{subject.Name}' has a region in scene {scene}, but no token position there: it is placed by its words.",
                    nameof(subject));
            }
        }
    }

    private Tensor AttendByHalf(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
    {
        using var scope = NewDisposeScope();
        var rows = inputs.Query.shape[0] / 2;
        return cat([.. story.HalvesOf(context).Select((half, i) => techniques.Attend(
            layer,
            inputs with
            {
                Query = inputs.Query.narrow(0, i * rows, rows),
                Key = inputs.Key.narrow(0, i * rows, rows),
                Value = inputs.Value.narrow(0, i * rows, rows),
                Mask = inputs.Mask is { } mask && mask.shape[0] == 2 * rows ? mask.narrow(0, i * rows, rows) : inputs.Mask,
            },
            new AttentionContext { Step = context.Step, Steps = context.Steps, Branch = half }))]).MoveToOuterDisposeScope();
    }

    private void Collect(SubjectMaps maps, AttentionLayer layer, AttentionInputs inputs, StoryBatch batch, AttentionContext context)
    {
        var step = context.Step;
        if (step != this.step && maps.Collected > 0)
        {
            throw new InvalidOperationException($"Step {step} began before {nameof(CompleteStep)} was called for step {this.step}.");
        }

        this.step = step;
        maps.Collect(layer, inputs, batch, story.Places(layer, context));
        if (!masks.Found && options.Masks!.ReadyAfterLayers is > 0 and var layers && maps.Collected >= layers)
        {
            using var scope = NewDisposeScope();
            masks.Update(maps.Average()!);
        }
    }
}
