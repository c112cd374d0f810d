using StorySync.Pipelines;

namespace StorySync.Samples.Evaluate;

/// <summary>A story as a job makes it.</summary>
/// <param name="Scenes">The scenes, anchors included.</param>
/// <param name="Time">How long the model took.</param>
/// <param name="Warnings">What it warned of.</param>
internal sealed record Drawing(IReadOnlyList<SceneResult> Scenes, TimeSpan Time, IReadOnlyList<GenerationWarning> Warnings)
{
    /// <summary>Makes a job's story.</summary>
    /// <param name="pipeline">The model.</param>
    /// <param name="job">The job.</param>
    /// <param name="scenes">Its scenes.</param>
    /// <param name="plainImage">The plain model's image of the first scene, for jobs that begin from it; null where there is
    /// none.</param>
    /// <param name="progress">The provider that receives progress updates after each step.</param>
    /// <param name="cancellationToken">Stops the run.</param>
    public static Drawing Of(
        DiffusionPipeline pipeline, StoryJob job, IReadOnlyList<Scene> scenes, RgbImage? plainImage,
        IProgress<GenerationProgress> progress, CancellationToken cancellationToken)
    {
        var story = new Story { Subjects = [job.Subject], Scenes = scenes };
        if (job.AnchorsFrom == AnchorSource.Bank)
        {
            return WithBank(pipeline, story, job.Options, progress, cancellationToken);
        }

        using var result = pipeline.GenerateStory(
            job.AnchorsFrom == AnchorSource.Image
                ? story with { Scenes = [scenes[0] with { Image = plainImage }, .. scenes.Skip(1)] } : story,
            job.Options,
            progress,
            cancellationToken);
        return new Drawing(result.Scenes, result.Timings.Total, result.Warnings);
    }

    private static Drawing WithBank(
        DiffusionPipeline pipeline, Story story, StoryOptions options, IProgress<GenerationProgress> progress,
        CancellationToken cancellationToken)
    {
        var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        var count = options.Anchors!.Value;
        using var anchors = pipeline.GenerateStory(
            story with { Scenes = [.. story.Scenes.Take(count)] }, options, progress, cancellationToken);
        try
        {
            anchors.Bank!.Save(path, cancellationToken);
            using var bank = StoryBank.Load(path);
            using var others = pipeline.GenerateScenes(
                bank, [.. story.Scenes.Skip(count)], new() { BatchSize = options.BatchSize }, progress, cancellationToken);
            return new Drawing(
                [.. anchors.Scenes, .. others.Scenes],
                anchors.Timings.Total + others.Timings.Total,
                [.. anchors.Warnings, .. others.Warnings]);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
