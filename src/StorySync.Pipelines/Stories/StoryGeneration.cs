using System.Collections.Immutable;
using StorySync.Attention;
using StorySync.Diffusion;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>One story of a pipeline: the scenes are the images of one generation whose attention the techniques take part in.</summary>
internal sealed class StoryGeneration
{
    private readonly DiffusionPipeline pipeline;
    private readonly Story given;
    private readonly Story story;
    private readonly StoryOptions options;
    private readonly StoryAttentionOptions techniques;
    private readonly GenerationRequest request;
    private readonly Generation generation;

    /// <exception cref="ArgumentException">The story or an option is invalid.</exception>
    public StoryGeneration(
        DiffusionPipeline pipeline, Story story, StoryOptions options, IProgress<GenerationProgress>? progress,
            CancellationToken cancellationToken)
    {
        (this.pipeline, given, this.options) = (pipeline, story, options);
        this.story = story = story.ExpandCast();
        StoryRules.Check(story);
        request = options.Request ?? new();
        StoryRules.CheckTemplate(request);
        request = request with { Prompts = [.. story.Scenes.Select(scene => scene.Prompt)] };
        techniques = (options.Techniques ?? new()).Over(pipeline.DefaultTechniques);
        generation = new Generation(pipeline, request, progress, cancellationToken);
        StoryRules.CheckMasks(story, generation.Width, generation.Height);
        StoryRules.CheckLayers(techniques, pipeline.AttentionProcessors.Layers, generation.Warnings);
    }

    public StoryResult Run()
    {
        generation.CheckMemory(HasBase, Shares);
        var subjects = Subjects();
        Warn();
        using var scope = NewDisposeScope();
        using var attention = new StoryAttention(
            techniques,
            subjects,
            story.Scenes.Count,
            generation.Guidance,
            generation.Seed,
            request.AttentionProcessor ?? ModelProcessors(),
            request.GuidanceEnd);
        var result = generation.Run(Seeds(), attention);
        var scenes = story.Scenes.Select((scene, i) => new SceneResult
        {
            Scene = given.Scenes[i],
            Prompt = scene.Prompt,
            Image = result.Images[i],
            Seed = result.Seeds[i],
            Subjects = [.. story.Subjects.Select((subject, s) => Found(attention, subject, i, s))],
        }).ToList();
        foreach (var (index, scene) in scenes.Index())
        {
            foreach (var lost in scene.Subjects.Where(found => found.Region is not { Area: > 0 }
                && StoryRules.InScene(story, index, found.Subject) is { IsPresent: true, Mask: null }))
            {
                generation.Warnings.Add(
                    GenerationWarningCode.SubjectNotFound,
                    $"Scene {index + 1}: the subject \"{lost.Subject}\" was not found in the image, so that it took no part in the story.");
            }
        }

        return new StoryResult
        {
            Scenes = scenes,
            Latents = result.Latents,
            Timings = result.Timings,
            Warnings = [.. pipeline.Warnings, .. generation.Warnings.List],
        };
    }

    public MemoryPlan PlanMemory(PipelineOptions? model) => generation.PlanMemory(model, HasBase, Shares);

    private bool Shares => story.Scenes.Count > 1 && techniques.Sharing!.Strength > 0;

    /// <summary>Whether the first step has an unmodified branch.</summary>
    private bool HasBase
    {
        get
        {
            using var attention = new StoryAttention(techniques, [], story.Scenes.Count, generation.Guidance);
            return attention.BatchAt(0, generation.ModelCalls).HasBase;
        }
    }

    private long[] Seeds() =>
        [.. story.Scenes.Select((scene, i) => scene.Seed ?? (options.SameNoise ? generation.Seed : generation.Seed + i))];

    private void Warn()
    {
        generation.Warnings.AddIf(
            options.Techniques?.Sharing?.MatchPositions == true && !pipeline.HasRotaryPositions,
            "Techniques.Sharing.MatchPositions has no effect: this model's attention keys carry no positions.");
        generation.Warnings.AddIf(
            options.SameNoise && story.Scenes.All(scene => scene.Seed is not null),
                "SameNoise has no effect: every scene has a seed of its own.");
    }

    /// <summary>The processors that are set on the model, where one is not the model's own.</summary>
    private SetProcessors? ModelProcessors() =>
        pipeline.AttentionProcessors is var set && set.Layers.Any(layer => set[layer.Path] is not PlainAttention) ? new(set) : null;

    private SubjectResult Found(StoryAttention attention, Subject subject, int scene, int index)
    {
        using var mask = StoryRules.InScene(story, scene, subject).IsPresent ? attention.MaskOf(scene, index) : null;
        return new SubjectResult { Subject = subject, Region = mask is null ? null : SubjectRegion.FromTensor(mask) };
    }

    private IReadOnlyList<StorySubject> Subjects() => [.. story.Subjects.Select(subject =>
    {
        SceneSubject[] scenes = [.. Enumerable.Range(0, story.Scenes.Count).Select(i => StoryRules.InScene(story, i, subject))];
        return new StorySubject(subject.Phrase, [.. scenes.Select((own, i) => Tokens(own, i))])
        {
            Masks = scenes.Any(own => own.Mask is not null)
                ? [.. scenes.Select(own => own.Mask is { } mask ? mask.WithoutAlpha().ToMask() : null)]
                : null,
        };
    })];

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
        catch (ArgumentException) when (own is { Mask: not null, Phrase: null })
        {
            // The mask says where the subject is; the prompt need not speak of it.
            return [];
        }
        catch (ArgumentException exception)
        {
            // The framework puts the parameter's name after the first line of a message.
            var said = exception.Message.Replace($" (Parameter '{exception.ParamName}')", "", StringComparison.Ordinal);
            throw new ArgumentException(
                $"Scene {scene + 1}: {said} If the scene has other words for the subject, or lacks it, say so in Scene.Subjects.",
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
