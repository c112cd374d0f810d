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
    private readonly SubjectReading reading;
    private readonly StoryWarnings warnings;

    /// <exception cref="ArgumentException">The story or an option is invalid.</exception>
    public StoryGeneration(
        DiffusionPipeline pipeline, Story story, StoryOptions options, IProgress<GenerationProgress>? progress,
            CancellationToken cancellationToken, StoryBatchOrigin? origin = null)
    {
        (this.pipeline, given, this.options, this.origin) = (pipeline, story, options, origin ?? new());
        var bank = this.origin.Bank;
        var computed = Anchors > 0 ? bank : null;
        story = computed is null ? story : story with { Scenes = [.. computed.Card.Story.Scenes, .. story.Scenes] };

        this.story = story = StoryRules.ExpandCast(story, this.origin);
        StoryRules.Check(
            story, this.origin, bank is not null ? Anchors : this.origin.IsAnchored ? story.Scenes.Count : options.Anchors ?? 0);
        BankScenes.CheckTakes(options);
        request = options.Request ?? new();
        StoryRules.CheckTemplate(request);
        IReadOnlyList<string> prompts = [.. story.Scenes.Select(scene => scene.Prompt)];
        request = request with { Prompts = [.. prompts.Skip(Anchors)] };
        if (computed is not null)
        {
            var anchors = computed.Card.Request with
            {
                Prompts = [.. prompts.Take(Anchors)],
                Images = request.Images is null ? null : computed.Portraits,
                OnStep = request.OnStep,
                PreviewInterval = request.PreviewInterval,
                AttentionProcessor = request.AttentionProcessor,
            };
            request = RequestRows.Join(anchors, request);
        }

        techniques = (options.Techniques ?? new()).Over(pipeline.DefaultTechniques);
        generation = new Generation(pipeline, request, progress, cancellationToken)
        {
            Story = new StoryTraits(story.Subjects, techniques, bank?.Anchors ?? (this.origin.IsAnchored ? story.Scenes.Count : null)),
        };
        StoryRules.CheckMasks(story, Anchors, generation.Width, generation.Height, this.origin.NameOf);
        StoryRules.CheckLayers(techniques, pipeline.AttentionProcessors.Layers, generation.Warnings);
        reading = new SubjectReading(
            story, this.origin, prompt => pipeline.Tokenize(request, prompt), phrase => pipeline.WordsOf(request, phrase));
        warnings = new StoryWarnings(story, this.origin, generation.Warnings);
        if (bank is not null)
        {
            ReadPrompts();
        }
    }

    /// <summary>Gets the seed that the scenes' seeds are counted from.</summary>
    public long Seed => generation.Seed;

    private int Anchors => origin.Anchors;

    /// <summary>Finds the subjects in the prompts before any work.</summary>
    /// <exception cref="ArgumentException">A prompt does not mention a subject that its scene has.</exception>
    public void ReadPrompts() => reading.ReadPrompts();

    /// <summary>Checks that the bank's tensors are of the model and of the size that its card names.</summary>
    /// <exception cref="ArgumentException">They are not.</exception>
    public void CheckBank()
    {
        var (bank, isTrajectory) = (origin.Bank!, Anchors > 0);
        var latents = bank.Find(isTrajectory ? StoryBankFormat.LatentsName(0, isBase: false) : StoryBankFormat.FinalName)!;
        var expected = pipeline.LatentShape(bank.Anchors, generation.Height, generation.Width);
        RequestRules.Require(
            latents.shape.SequenceEqual(expected),
            $"The bank's latents have the shape ({string.Join(", ", latents.shape)}); images of {generation.Width}×{generation.Height} "
                + $"need ({string.Join(", ", expected)}): the bank is not as it was made.");
        if (!isTrajectory)
        {
            CheckKeys(bank);
        }
    }

    /// <exception cref="ArgumentException">Keys are of no layer, or of other heads or tokens than its own.</exception>
    private void CheckKeys(StoryBank bank)
    {
        var found = 0;
        foreach (var layer in pipeline.AttentionProcessors.Layers.Where(layer => layer.Kind != AttentionKind.Cross))
        {
            var tokens = pipeline.ImageTokens(layer, generation.Height, generation.Width);
            for (var step = 0; step < generation.ModelCalls; step++)
            {
                foreach (var half in Enum.GetValues<GuidanceBranch>())
                {
                    var address = new KeyAddress(step, layer.Path, half);
                    if (bank.Find(StoryBankFormat.KeysName(address)) is not { } keys)
                    {
                        continue;
                    }

                    found++;
                    var places = KeptPositions.PlacesOf(StoryBankFormat.NumbersOf(bank.Find(StoryBankFormat.TokensName(address))!));
                    if (keys.shape[2] != layer.Heads || keys.shape[3] != layer.HeadWidth
                        || places.ContainsAnyExceptInRange(0, (int)Math.Min(tokens - 1, int.MaxValue)))
                    {
                        throw new ArgumentException(
                            $"The bank's keys of layer '{layer.Path}' have the shape ({string.Join(", ", keys.shape)}) or places of other "
                                + $"tokens than the layer, which has {layer.Heads} heads of {layer.HeadWidth} and {tokens} tokens: the bank "
                                + "is not as it was made.");
                    }
                }
            }
        }

        var kept = bank.KeptCalls;
        RequestRules.Require(
            found == kept,
            $"The bank has keys of {kept} calls of layers, {kept - found} of which the model does not make: the bank is not as it was made.");
    }

    /// <summary>Makes the scenes.</summary>
    /// <param name="watch">Looks at the latents of each step; null for nobody.</param>
    public StoryResult Run(IStepEntry? watch = null) =>
        Run(attention => origin.Bank is not { } bank ? watch : new ConsistencyScore(
            Anchors > 0 ? new BankReplay(bank, attention) { Watch = watch } : watch, latents => Score(bank, latents, attention)));

    /// <summary>Makes the story's scenes as anchors.</summary>
    public (StoryBank Bank, StoryResult Result) RunAnchors()
    {
        using var recorder = BankRecorder.Of(Form, story, KeysDtype);
        var result = Run(recorder.Begin, recorder as IKeyBank);
        var card = Card(result.Scenes.Select(scene => scene.Seed)) with { Story = Settled(result) };
        return (StoryBank.Of(card, [.. result.Scenes.Select(scene => scene.Image)], recorder.Take()), result);
    }

    /// <summary>Gets what a bank of the story's scenes says of itself.</summary>
    /// <param name="seeds">The seeds of the scenes.</param>
    public StoryBankCard Card(IEnumerable<long> seeds) => new()
    {
        Version = StoryBankCard.CurrentVersion,
        Form = Form,
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

    private StoryBankForm Form => options.BankForm ?? StoryBankForm.Trajectory;

    private ScalarType KeysDtype => options.BankKeysDtype ?? pipeline.Options.Dtype;

    /// <summary>Gets a value indicating whether scenes read a bank's keys, with no anchor among them.</summary>
    private bool ReadsKeys => origin.Bank is { } bank ? bank.Card.Form == StoryBankForm.Keys
        : options.Anchors is not null && Form == StoryBankForm.Keys;

    private StoryResult Run(Func<StoryAttention, IStepEntry?> entryOf, IKeyBank? recorder = null) =>
        generation.Trace("generate_story", () => RunTraced(entryOf, recorder));

    private StoryResult RunTraced(Func<StoryAttention, IStepEntry?> entryOf, IKeyBank? recorder)
    {
        generation.CheckMemory(HasBase, Shares);
        warnings.TellOfOptions(options, techniques, pipeline);
        warnings.TellOfOptionsForOthers(options, pipeline.DefaultTechniques, generation.Guidance);
        warnings.TellOfWindows(options.Techniques, pipeline.DefaultTechniques, generation.ModelCalls);
        warnings.TellOfLocations();
        using var scope = NewDisposeScope();
        var seeds = Seeds();
        var subjects = reading.Subjects(generation.Width, generation.Height);
        var inner = request.AttentionProcessor ?? ModelProcessors();
        using var keys = ReadsKeys && origin.Bank is { } bank ? new BankKeys(bank, pipeline.Device) : null;
        using var attention = new StoryAttention(
            techniques, subjects, story.Scenes.Count, generation.Guidance, generation.Seed, inner, request.GuidanceEnd)
        {
            Reads = origin.Bank is null ? null : (_, other) => other < Anchors,
            Seeds = origin.IsAnchored ? seeds : [.. seeds.Select((_, i) => generation.Seed + i)],
            Locations = StoryRules.HasLocations(story) ? [.. story.Scenes.Select(scene => scene.Location)] : null,
            Recorder = recorder,
            Keys = keys,
            ReadsKept = ReadsKeys,
            KeptLocations = origin.Bank?.Card.Story.Scenes.Select(anchor => anchor.Location).ToList(),
        };
        var ownImages = story.Scenes.Any(scene => scene.Image is not null)
            ? new ImageAnchors(story, attention, techniques.Masks!.ImageNoise!.Value, scenes => new StoryAttention(
                StoryAttentionOptions.Disabled with { Masks = techniques.Masks },
                [.. subjects.Select(subject => new StorySubject(subject.Name, [.. scenes.Select(scene => subject.Tokens[scene])]))],
                scenes.Count,
                guidance: false,
                inner: inner))
            : null;
        var entry = entryOf(attention);
        var result = generation.Run(seeds, attention, entry, Anchors, ownImages);
        var scores = (entry as ConsistencyScore)?.Scores;
        var scenes = story.Scenes.Skip(Anchors).Select((_, i) => Scene(i, scores?[i])).ToList();
        if (scores is not null && options.Scorer is { } scorer)
        {
            scenes = [.. scenes.Select((scene, i) => Scene(i, scorer(scene)))];
        }

        warnings.TellOfSubjects(scenes, attention.FindUnplaced());

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

    /// <summary>Returns the memory that the batch would take.</summary>
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
            using var attention = new StoryAttention(
                techniques, [], Images, generation.Guidance, guidanceEnd: request.GuidanceEnd)
            {
                Locations = StoryRules.HasLocations(story) ? new string?[Images] : null,
            };
            var size = new BankSize(
                pipeline, generation, attention, story,
                Math.Min(techniques.Masks!.MaxGrid!.Value, Math.Max(generation.Height, generation.Width)));
            return Form == StoryBankForm.Keys ? size.OfKeys(KeysDtype) : size.OfTrajectory();
        }
    }

    /// <summary>Returns the rows of each step of a batch of so many images.</summary>
    public IEnumerable<long> RowsOf(int images)
    {
        using var attention = new StoryAttention(
            techniques, [], images, generation.Guidance, generation.Seed, guidanceEnd: request.GuidanceEnd)
        {
            ReadsKept = ReadsKeys,
        };
        for (var step = 0; step < generation.ModelCalls; step++)
        {
            yield return attention.BatchAt(step, generation.ModelCalls).Rows;
        }
    }

    /// <summary>The scenes as their bank knows them: an image is its portrait, with its subjects where they were found.</summary>
    private Story Settled(StoryResult result) => given with
    {
        Scenes = [.. given.Scenes.Select((scene, i) => scene.Image is null ? scene : scene with
        {
            Image = null,
            Subjects = [.. story.Subjects.Select((subject, s) => StoryRules.InScene(story, i, subject) is var own
                && own is { IsPresent: true, Mask: null } && result.Scenes[i].Subjects[s].Region is { } region
                    ? own with { Mask = region.ToImage(region.Width, region.Height) } : own)],
        })],
    };

    private bool Shares =>
        (story.Scenes.Count > 1 || ReadsKeys)
        && (techniques.Sharing!.Strength > 0 || (StoryRules.HasLocations(story) && techniques.Location!.Strength > 0));

    /// <summary>Whether the first step has an unmodified branch.</summary>
    private bool HasBase
    {
        get
        {
            using var attention = new StoryAttention(techniques, [], story.Scenes.Count, generation.Guidance)
            {
                ReadsKept = ReadsKeys,
            };
            return attention.BatchAt(0, generation.ModelCalls).HasBase;
        }
    }

    private long[] Seeds() => [.. story.Scenes.Select((scene, i) =>
        i < Anchors ? origin.Bank!.Card.Seeds[i]
        : (scene.Seed ?? (options.SameNoise ? generation.Seed : generation.Seed + origin.PlaceOf(i - Anchors))) + origin.SeedOffset)];

    /// <summary>How consistent each scene is with the anchors.</summary>
    private IReadOnlyList<double?> Score(StoryBank bank, Tensor latents, StoryAttention attention)
    {
        using var scope = NewDisposeScope();
        var kept = bank.Find(StoryBankFormat.FinalName);
        var all = kept is null ? latents : cat([kept.to(latents.dtype, latents.device), latents]);
        var score = new SubjectConsistency(pipeline.Unpack(all, generation.Height, generation.Width), bank.Anchors);
        return [.. Enumerable.Range(Anchors, Images - Anchors).Select(scene => score.Of(
            bank.Anchors + scene - Anchors,
            story.Subjects.Select((subject, s) => (IReadOnlyList<Tensor?>)
            [
                .. Enumerable.Range(0, bank.Anchors).Select(anchor =>
                    kept is null ? MaskOf(attention, subject, anchor, s) : bank.Find(StoryBankFormat.MaskName(anchor, s))),
                MaskOf(attention, subject, scene, s),
            ])))];
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

    /// <summary>Attends by the processors that are set on the model.</summary>
    private sealed class SetProcessors(AttentionProcessors processors) : IAttentionProcessor
    {
        public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context) =>
            processors[layer.Path].Attend(layer, inputs, context);
    }
}
