using System.Collections.Immutable;
using StorySync.Attention;
using StorySync.Diffusion;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>One batch of a pipeline's story: the scenes, after a bank's anchors where there is one, are the images of one generation whose
/// attention the techniques take part in.</summary>
internal sealed class StoryGeneration
{
    private readonly DiffusionPipeline pipeline;
    private readonly Story given;
    private readonly Story story;
    private readonly StoryBatchOrigin origin;
    private readonly StoryOptions options;
    private readonly StoryAttentionOptions techniques;
    private readonly GenerationRequest request;
    private readonly Generation generation;

    /// <exception cref="ArgumentException">The story or an option is invalid.</exception>
    public StoryGeneration(
        DiffusionPipeline pipeline, Story story, StoryOptions options, IProgress<GenerationProgress>? progress,
            CancellationToken cancellationToken, StoryBatchOrigin? origin = null)
    {
        (this.pipeline, given, this.options, this.origin) = (pipeline, story, options, origin ?? new());
        var bank = this.origin.Bank;
        story = bank is null ? story : bank.Card.Story with { Scenes = [.. bank.Card.Story.Scenes, .. story.Scenes] };

        this.story = story = StoryRules.ExpandCast(story, this.origin);
        StoryRules.Check(story, this.origin, bank?.Anchors ?? (this.origin.IsAnchored ? story.Scenes.Count : options.Anchors ?? 0));
        request = options.Request ?? new();
        StoryRules.CheckTemplate(request);
        IReadOnlyList<string> prompts = [.. story.Scenes.Select(scene => scene.Prompt)];
        request = request with { Prompts = [.. prompts.Skip(Anchors)] };
        if (bank is not null)
        {
            var anchors = bank.Card.Request with
            {
                Prompts = [.. prompts.Take(Anchors)],
                Images = request.Images is null ? null : bank.Portraits,
                OnStep = request.OnStep,
                PreviewInterval = request.PreviewInterval,
                AttentionProcessor = request.AttentionProcessor,
            };
            request = RequestRows.Join(anchors, request);
        }

        techniques = (options.Techniques ?? new()).Over(pipeline.DefaultTechniques);
        generation = new Generation(pipeline, request, progress, cancellationToken);
        StoryRules.CheckMasks(story, Anchors, generation.Width, generation.Height, NameOf);
        StoryRules.CheckLayers(techniques, pipeline.AttentionProcessors.Layers, generation.Warnings);
        if (bank is not null)
        {
            ReadPrompts();
        }
    }

    /// <summary>Gets the seed that the scenes' seeds are counted from.</summary>
    public long Seed => generation.Seed;

    private int Anchors => origin.Bank?.Anchors ?? 0;

    /// <summary>Gets where the prompts speak of each subject, scene by scene. They are read when first asked for: a story that cannot fit
    /// is refused before.</summary>
    private ImmutableArray<int>[][] SubjectTokens => field ??= [.. story.Subjects.Select(subject =>
        story.Scenes.Select((_, i) => Tokens(StoryRules.InScene(story, i, subject), i)).ToArray())];

    /// <summary>Finds the subjects in the prompts before any work.</summary>
    /// <exception cref="ArgumentException">A prompt does not speak of a subject that its scene has.</exception>
    public void ReadPrompts() => _ = SubjectTokens;

    /// <summary>Makes the scenes.</summary>
    /// <param name="watch">Looks at the latents of each step; null for nobody.</param>
    public StoryResult Run(IStepEntry? watch = null) =>
        Run(attention => origin.Bank is { } bank ? new BankReplay(bank, attention, Score) { Watch = watch } : watch);

    /// <summary>Makes the story's scenes as anchors.</summary>
    public (StoryBank Bank, StoryResult Result) RunAnchors()
    {
        BankRecorder? recorder = null;
        try
        {
            var result = Run(attention => recorder = new BankRecorder(story, attention));
            var card = Card(result.Scenes.Select(scene => scene.Seed)) with { Story = Settled(result) };
            return (StoryBank.Of(card, [.. result.Scenes.Select(scene => scene.Image)], recorder!.Take()), result);
        }
        finally
        {
            recorder?.Dispose();
        }
    }

    /// <summary>Gets what a bank of the story's scenes says of itself.</summary>
    /// <param name="seeds">The seeds of the scenes.</param>
    public StoryBankCard Card(IEnumerable<long> seeds) => new()
    {
        Version = StoryBankCard.CurrentVersion,
        Pipeline = pipeline.GetType().Name,
        Model = pipeline.Identity,
        Loras = pipeline.LoraIdentities,
        Dtype = pipeline.Options.Dtype.ToString(),
        Request = generation.Settings,
        Techniques = techniques,
        Story = given,
        Seeds = [.. seeds],
        Timesteps = [.. generation.Plan.Timesteps.Skip(generation.BeginIndex)],
        Sigmas = [.. generation.Plan.Sigmas.Skip(generation.BeginIndex)],
    };

    private StoryResult Run(Func<StoryAttention, IStepEntry?> entryOf) =>
        generation.Trace("generate_story", () => RunTraced(entryOf));

    private StoryResult RunTraced(Func<StoryAttention, IStepEntry?> entryOf)
    {
        generation.CheckMemory(HasBase, Shares);
        Warn();
        using var scope = NewDisposeScope();
        var seeds = Seeds();
        var subjects = Subjects();
        var inner = request.AttentionProcessor ?? ModelProcessors();
        using var attention = new StoryAttention(
            techniques, subjects, story.Scenes.Count, generation.Guidance, generation.Seed, inner, request.GuidanceEnd)
        {
            Reads = origin.Bank is { Anchors: var anchors } ? (_, other) => other < anchors : null,
            Seeds = origin.IsAnchored ? seeds : [.. seeds.Select((_, i) => generation.Seed + i)],
            Locations = HasLocations ? [.. story.Scenes.Select(scene => scene.Location)] : null,
        };
        var pictures = story.Scenes.Any(scene => scene.Picture is not null)
            ? new PictureAnchors(story, attention, scenes => new StoryAttention(
                StoryAttentionOptions.Disabled with { Masks = techniques.Masks },
                [.. subjects.Select(subject => new StorySubject(subject.Name, [.. scenes.Select(scene => subject.Tokens[scene])]))],
                scenes.Count,
                guidance: false,
                inner: inner))
            : null;
        var entry = entryOf(attention);
        var result = generation.Run(seeds, attention, entry, Anchors, pictures);
        var scores = (entry as BankReplay)?.Scores;
        var scenes = story.Scenes.Skip(Anchors).Select((_, i) => Scene(i, scores?[i])).ToList();
        if (scores is not null && options.Scorer is { } scorer)
        {
            scenes = [.. scenes.Select((scene, i) => Scene(i, scorer(scene)))];
        }

        foreach (var (index, scene) in scenes.Index())
        {
            foreach (var lost in scene.Subjects.Where(found => found.Region is not { Area: > 0 }
                && StoryRules.InScene(story, Anchors + index, found.Subject) is { IsPresent: true, Mask: null }))
            {
                generation.Warnings.Add(
                    GenerationWarningCode.SubjectNotFound,
                    $"{NameOf(Anchors + index)}: the subject \"{lost.Subject}\" was not found in the image, so that it took no part in the "
                        + $"story.");
            }
        }

        foreach (var (scene, subject) in attention.FindUnplaced().Where(unplaced => unplaced.Scene >= Anchors))
        {
            generation.Warnings.Add(
                GenerationWarningCode.OptionWithoutEffect,
                $"{NameOf(scene)}: the region of \"{story.Subjects[subject]}\" is smaller than the cells of the model's grids, so that it "
                    + "had no effect; make it larger.");
        }

        return new StoryResult
        {
            Scenes = scenes,
            Latents = result.Latents,
            Timings = result.Timings,
            Warnings = [.. pipeline.Warnings, .. generation.Warnings.List],
        };

        SceneResult Scene(int i, double? score) => new()
        {
            Scene = given.Scenes[i],
            Prompt = story.Scenes[Anchors + i].Prompt,
            Image = result.Images[i],
            Seed = result.Seeds[i],
            Consistency = score,
            Subjects = [.. story.Subjects.Select((subject, s) => Found(attention, subject, Anchors + i, s))],
        };
    }

    /// <summary>The memory that the batch would take.</summary>
    /// <param name="model">How the model would be loaded.</param>
    /// <param name="rows">The scenes with the anchors; null for as many as there are.</param>
    public MemoryPlan PlanMemory(PipelineOptions? model, int? rows = null) => generation.PlanMemory(model, HasBase, Shares, rows);

    /// <summary>Gets the images of the batch, with the anchors.</summary>
    public int Images => story.Scenes.Count;

    /// <summary>Gets the most bytes of a bank of the story's scenes.</summary>
    public long BankBytes
    {
        get
        {
            using var attention = new StoryAttention(techniques, [], Images, generation.Guidance);
            var steps = generation.ModelCalls;
            var kept = Enumerable.Range(0, steps).Sum(step => attention.BatchAt(step, steps).HasBase ? 2 : 1);
            var shape = pipeline.LatentShape(Images, generation.Height, generation.Width);
            var latents = shape.Aggregate((long)sizeof(float), (bytes, length) => bytes * length);
            var side = (long)techniques.Masks!.MaxGrid!.Value;
            var masks = StoryRules.FoundSubjects(story, Images).Any() ? (steps - 1) * Images * story.Subjects.Count * side * side : 0;
            return (kept * latents) + masks + (3L * Images * generation.Height * generation.Width);
        }
    }

    /// <summary>The rows of each step of a batch of so many images.</summary>
    public IEnumerable<long> RowsOf(int images)
    {
        using var attention = new StoryAttention(
            techniques, [], images, generation.Guidance, generation.Seed, guidanceEnd: request.GuidanceEnd);
        for (var step = 0; step < generation.ModelCalls; step++)
        {
            yield return attention.BatchAt(step, generation.ModelCalls).Rows;
        }
    }

    /// <summary>The scenes as their bank knows them: a picture is its portrait, with its subjects where they were found.</summary>
    private Story Settled(StoryResult result) => given with
    {
        Scenes = [.. given.Scenes.Select((scene, i) => scene.Picture is null ? scene : scene with
        {
            Picture = null,
            Subjects = [.. story.Subjects.Select((subject, s) => StoryRules.InScene(story, i, subject) is var own
                && own is { IsPresent: true, Mask: null } && result.Scenes[i].Subjects[s].Region is { } region
                    ? own with { Mask = region.ToImage(region.Width, region.Height) } : own)],
        })],
    };

    private string NameOf(int scene) => origin.NameOf(scene);

    private bool Shares =>
        story.Scenes.Count > 1 && (techniques.Sharing!.Strength > 0 || (HasLocations && techniques.Location!.Strength > 0));

    private bool HasLocations => story.Scenes.Any(scene => scene.Location is not null);

    /// <summary>Whether the first step has an unmodified branch.</summary>
    private bool HasBase
    {
        get
        {
            using var attention = new StoryAttention(techniques, [], story.Scenes.Count, generation.Guidance);
            return attention.BatchAt(0, generation.ModelCalls).HasBase;
        }
    }

    private long[] Seeds() => [.. story.Scenes.Select((scene, i) =>
        i < Anchors ? origin.Bank!.Card.Seeds[i]
        : (scene.Seed ?? (options.SameNoise ? generation.Seed : generation.Seed + origin.PlaceOf(i - Anchors))) + origin.SeedOffset)];

    /// <summary>How consistent each scene is with the anchors.</summary>
    private IReadOnlyList<double?> Score(Tensor latents, StoryAttention attention)
    {
        using var scope = NewDisposeScope();
        var score = new SubjectConsistency(pipeline.Unpack(latents, generation.Height, generation.Width), Anchors);
        return [.. Enumerable.Range(Anchors, Images - Anchors).Select(image => score.Of(image, story.Subjects.Select((subject, s) =>
            (IReadOnlyList<Tensor?>)[.. Enumerable.Range(0, Anchors).Append(image).Select(i => MaskOf(attention, subject, i, s))])))];
    }

    private void Warn()
    {
        generation.Warnings.AddIf(
            options.Techniques?.Sharing?.MatchPositions == true && !pipeline.HasRotaryPositions,
            "Techniques.Sharing.MatchPositions has no effect: this model's attention keys carry no positions.");
        generation.Warnings.AddIf(
            options.Candidates > 1 && origin is { Bank: null, IsAnchored: false },
            "Candidates has no effect: takes are of scenes that read anchors; set StoryOptions.Anchors.");
        generation.Warnings.AddIf(
            options.SameNoise && story.Scenes.Skip(Anchors).All(scene => scene.Seed is not null),
                "SameNoise has no effect: every scene has a seed of its own.");
        generation.Warnings.AddIf(
            techniques.Placement is { Until: 0 } or { Strength: 0 }
                && story.Scenes.Any(scene => scene.Subjects.Any(own => own is not { Region: null, RegionMask: null })),
            "Techniques.Placement is off: the regions of subjects do not place them.");
        generation.Warnings.AddIf(
            techniques.Location is { Strength: 0, Alpha: 0 } && HasLocations,
            "Techniques.Location is off: scenes of one location share nothing of it.");
        WarnOfLocations();
    }

    /// <summary>Tells of locations that are a scene's alone. An anchor's is not: scenes can be drawn there later.</summary>
    private void WarnOfLocations()
    {
        for (var i = Anchors; i < story.Scenes.Count; i++)
        {
            var location = story.Scenes[i].Location;
            if (origin.Bank is not null)
            {
                generation.Warnings.AddIf(
                    location is not null && story.Scenes.Take(Anchors).All(anchor => anchor.Location != location),
                    $"{NameOf(i)}: no anchor has the location \"{location}\", so that it has no effect; scenes of a bank share "
                        + "their background with anchors only.");
            }
            else
            {
                generation.Warnings.AddIf(
                    location is not null && !origin.IsAnchored && story.Scenes.Count(other => other.Location == location) == 1,
                    $"{NameOf(i)}: no other scene has the location \"{location}\", so that it has no effect; a location is for scenes that "
                        + "share their background.");
            }
        }
    }

    /// <summary>The processors that are set on the model, where one is not the model's own.</summary>
    private SetProcessors? ModelProcessors() =>
        pipeline.AttentionProcessors is var set && set.Layers.Any(layer => set[layer.Path] is not PlainAttention) ? new(set) : null;

    /// <summary>Where a subject is, (height, width); null where the scene lacks it.</summary>
    private Tensor? MaskOf(StoryAttention attention, Subject subject, int scene, int index) =>
        StoryRules.InScene(story, scene, subject).IsPresent ? attention.MaskOf(scene, index) : null;

    private SubjectResult Found(StoryAttention attention, Subject subject, int scene, int index)
    {
        using var mask = MaskOf(attention, subject, scene, index);
        return new SubjectResult { Subject = subject, Region = mask is null ? null : SubjectRegion.FromTensor(mask) };
    }

    private IReadOnlyList<StorySubject> Subjects() => [.. story.Subjects.Select((subject, s) =>
    {
        SceneSubject[] scenes = [.. Enumerable.Range(0, story.Scenes.Count).Select(i => StoryRules.InScene(story, i, subject))];
        return new StorySubject(subject.Phrase, [.. SubjectTokens[s]])
        {
            Masks = scenes.Any(own => own.Mask is not null)
                ? [.. scenes.Select(own => own.Mask is { } mask ? mask.WithoutAlpha().ToMask() : null)]
                : null,
            Regions = scenes.Any(own => own is not { Region: null, RegionMask: null }) ? [.. scenes.Select(RegionOf)] : null,
        };
    })];

    /// <summary>Where a subject is to be, bool, (height, width) of the image, so that all regions of a batch have one shape.</summary>
    private Tensor? RegionOf(SceneSubject own) => own.Region?.ToMask(generation.Width, generation.Height)
        ?? own.RegionMask?.WithoutAlpha().Resize(generation.Width, generation.Height).ToMask();

    private ImmutableArray<int> Tokens(SceneSubject own, int scene)
    {
        if (!own.IsPresent)
        {
            return [];
        }

        try
        {
            return pipeline.Tokenize(request, story.Scenes[scene].Prompt).PositionsOf(
                StoryRules.WithoutArticle(own.Phrase ?? own.Subject.Phrase));
        }
        catch (ArgumentException) when (own is { Mask: not null, Phrase: null, Region: null, RegionMask: null })
        {
            // The mask says where the subject is; the prompt need not speak of it.
            return [];
        }
        catch (ArgumentException exception)
        {
            // The framework puts the parameter's name after the first line of a message.
            var said = exception.Message.Replace($" (Parameter '{exception.ParamName}')", "", StringComparison.Ordinal);
            throw new ArgumentException(
                $"{NameOf(scene)}: {said} If the scene has other words for the subject, or lacks it, say so in Scene.Subjects.",
                    exception);
        }
    }

    /// <summary>Attends by the processors that are set on the model.</summary>
    private sealed class SetProcessors(AttentionProcessors processors) : IAttentionProcessor
    {
        public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context) =>
            processors[layer.Path].Attend(layer, inputs, context);
    }
}

/// <summary>Where a batch of scenes comes from.</summary>
/// <param name="Bank">The bank whose anchors come before the scenes; null for none.</param>
/// <param name="Places">Each scene's index among those that are asked for; null where the batch is all of them.</param>
/// <param name="IsAnchored">Whether the scenes are anchors, or read them, so that nothing of one may depend on its place in the
/// batch.</param>
/// <param name="Take">Which of a scene's takes it is, from 0; null where there is one.</param>
internal sealed record StoryBatchOrigin(
    StoryBank? Bank = null, IReadOnlyList<int>? Places = null, bool IsAnchored = false, int? Take = null)
{
    private const long SeedsBetweenTakes = 1000;

    /// <summary>Gets what a take's seed is above the scene's.</summary>
    public long SeedOffset => SeedsBetweenTakes * (Take ?? 0);

    /// <summary>A scene's index among those that are asked for.</summary>
    public int PlaceOf(int scene) => Places?[scene] ?? scene;

    /// <summary>What messages call a row of the batch.</summary>
    public string NameOf(int row) => row - (Bank?.Anchors ?? 0) is >= 0 and var scene
        ? $"Scene {PlaceOf(scene) + 1}{(Take is { } take ? $", take {take + 1}" : "")}" : $"Anchor {row + 1}";
}
