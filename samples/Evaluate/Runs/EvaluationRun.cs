using StorySync.Attention;
using StorySync.Evaluation;
using StorySync.Pipelines;

namespace StorySync.Samples.Evaluate;

/// <summary>Makes and measures every story in every variant, but those that are there already.</summary>
internal sealed class EvaluationRun(EvaluationSettings settings, OutputFolder output, DiffusionPipeline pipeline, StoryEvaluator evaluator)
{
    private readonly RunFolder folder = new(output);
    private readonly List<string> warnings = [];

    /// <summary>Gets what the stories warned of, with the story and variant.</summary>
    public IReadOnlyList<string> Warnings => warnings;

    /// <param name="progress">The provider that receives progress updates for each job and each step.</param>
    /// <param name="cancellationToken">Stops the run; what is finished stays.</param>
    public IReadOnlyList<StoryRecord> Run(RunProgress progress, CancellationToken cancellationToken)
    {
        var jobs = settings.Jobs();
        var records = new List<StoryRecord>();
        progress.Begin(jobs.Sum(story => story.Count));
        foreach (var story in jobs)
        {
            StoryRecord? plain = null;
            foreach (var job in story)
            {
                progress.Next($"{job.Story}, {job.Variant}");
                var record = folder.Find(job) ?? Same(job, records) ?? Make(job, plain, progress, cancellationToken);
                plain ??= record;
                records.Add(record);
                progress.Done();
            }
        }

        return records;
    }

    /// <summary>A point of a sweep at the default is the variant that is swept: what another variant made is not made again.</summary>
    private static StoryRecord? Same(StoryJob job, IEnumerable<StoryRecord> records) =>
        records.FirstOrDefault(record => record.Job.IsAs(job)) is { } other ? other with { Job = job } : null;

    private StoryRecord Make(StoryJob job, StoryRecord? plain, RunProgress progress, CancellationToken cancellationToken)
    {
        using var memory = new PeakMemory();
        Scene[] asked = [.. job.Prompts.Select((prompt, i) => Scene(job, prompt, i, plain))];
        var drawn = job;
        if (asked.All(scene => scene.Subjects.Any(own => !own.IsPresent)))
        {
            // No mask is left: nothing is shared, and a story does not take a subject that no scene has.
            asked = [.. job.Prompts.Select(prompt => new Scene(prompt))];
            drawn = job with { Options = job.Options with { Techniques = StoryAttentionOptions.Disabled } };
        }

        var result = Drawing.Of(
            pipeline, drawn, asked,
            job.AnchorsFrom == AnchorSource.Image ? RgbImage.Load(plain!.Image(0)) : null, progress, cancellationToken);
        var peak = memory.MiB;
        warnings.AddRange(result.Warnings.Select(warning => $"{job.Story}, {job.Variant}: {warning.Message}"));

        // Given masks say nothing of the images; those of the plain run, on the same noise, do.
        SubjectRegion?[] regions =
            [.. result.Scenes.Select((scene, i) => job.Damage is null ? scene.Subjects[0].Region : plain!.Region(i))];
        EvaluatedScene[] scenes = [.. result.Scenes.Select((scene, i) => new EvaluatedScene(job.Prompts[i], scene.Image, [regions[i]]))];
        var compared = plain is null || job.Damage is not null || plain.Masks.Count < scenes.Length
            ? null
            : scenes.Select((scene, i) => scene with { Subjects = [plain.Region(i)] }).ToArray();

        var record = new StoryRecord
        {
            Job = job,
            Seeds = [.. result.Scenes.Select(scene => scene.Seed)],
            Masks = [.. regions.Select(StoryRecord.Rows)],
            Measures = evaluator.Measure(scenes, compared, cancellationToken),
            NewScenes = job.FirstNew is { } first ? evaluator.Measure(scenes[first..], cancellationToken: cancellationToken) : null,
            AgainstAnchors = job.FirstNew is { } next
                ? evaluator.MeasureAgainst(scenes[next..], scenes[..(job.Options.Anchors ?? next)], cancellationToken) : null,
            Seconds = result.Time.TotalSeconds,
            SecondsPerScene = result.Time.TotalSeconds / scenes.Length,
            PeakMiB = peak,
            Folder = folder.FolderOf(job),
        };
        for (var i = 0; i < scenes.Length; i++)
        {
            folder.Keep(record.Image(i), scenes[i].Image);
        }

        folder.Keep(record);
        return record;
    }

    private static Scene Scene(StoryJob job, string prompt, int index, StoryRecord? plain)
    {
        if (job.Damage is null || plain!.Region(index) is not { } region)
        {
            return new Scene(prompt);
        }

        var damaged = job.Damage.Apply(region, index, job.Prompts.Count);
        var subject = new Subject(job.Subject);
        return new Scene(
            prompt) { Subjects = [damaged.Area > 0 ? subject.At(damaged.ToImage(damaged.Width, damaged.Height)) : subject.Absent()] };
    }
}
