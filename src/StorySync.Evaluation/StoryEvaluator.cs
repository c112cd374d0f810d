using StorySync.Pipelines;

namespace StorySync.Evaluation;

/// <summary>Takes every measure of a story.</summary>
/// <param name="clip">The model that sees and reads; it stays the caller's.</param>
public sealed class StoryEvaluator(ClipEvaluator clip)
{
    /// <summary>Measures a story.</summary>
    /// <param name="scenes">Its scenes, at least one, all with equally many subjects.</param>
    /// <param name="compared">The same scenes of another run, whose regions <see cref="StoryMeasures.LayoutKept"/> compares with; null for
    /// none.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    /// <exception cref="ArgumentException">There are no scenes, or they do not fit together.</exception>
    public StoryMeasures Measure(
        IReadOnlyList<EvaluatedScene> scenes, IReadOnlyList<EvaluatedScene>? compared = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(scenes);
        Check(scenes, compared);
        var images = clip.EmbedImages([.. scenes.Select(scene => scene.Image)], cancellationToken);
        var texts = clip.EmbedTexts([.. scenes.Select(scene => scene.Prompt)], cancellationToken);
        var patches = clip.EmbedPatches([.. scenes.Select(scene => scene.Image)], cancellationToken);
        double[] cosines = [.. images.Zip(texts, ClipT.Cosine)];
        SubjectMeasures[] subjects =
            [.. Enumerable.Range(0, scenes[0].Subjects.Count).Select(s => Subject(scenes, patches, compared, s, cancellationToken))];
        return new StoryMeasures
        {
            ClipI = subjects.Average(s => s.ClipI),
            ClipIPicture = scenes.Count > 1 ? ClipI.Mean(images) : null,
            ClipICrop = subjects.Average(s => s.Crop),
            ClipINoise = subjects.Average(s => s.Noise),
            ClipT = cosines.Average(ClipT.Score),
            ClipTCosine = cosines.Average(),
            Color = subjects.Average(s => s.Color),
            Patches = subjects.Average(s => s.Patches),
            Layout = subjects.Average(s => s.Layout),
            LayoutKept = subjects.Average(s => s.Kept),
            Area = subjects.Average(s => s.Area),
        };
    }

    private static void Check(IReadOnlyList<EvaluatedScene> scenes, IReadOnlyList<EvaluatedScene>? compared)
    {
        if (scenes.Count == 0)
        {
            throw new ArgumentException("There are no scenes to measure.", nameof(scenes));
        }

        if (scenes.Any(scene => scene.Subjects.Count != scenes[0].Subjects.Count))
        {
            throw new ArgumentException("Every scene needs an entry for each subject of the story, null where it lacks it.",
                nameof(scenes));
        }

        if (compared is not null
            && (compared.Count != scenes.Count || compared.Any(scene => scene.Subjects.Count != scenes[0].Subjects.Count)))
        {
            throw new ArgumentException("The run to compare with has other scenes or subjects.", nameof(compared));
        }
    }

    private SubjectMeasures Subject(
        IReadOnlyList<EvaluatedScene> scenes, IReadOnlyList<PatchGrid> patches, IReadOnlyList<EvaluatedScene>? compared, int subject,
            CancellationToken cancellationToken)
    {
        (RgbImage Image, SubjectRegion Region, PatchGrid Patches)[] seen =
            [.. scenes.Zip(patches).Where(s => s.First.Region(subject) is not null).Select(s =>
                (s.First.Image, s.First.Region(subject)!, s.Second))];
        var measures = new SubjectMeasures
        {
            Area = seen.Length > 0 ? seen.Average(s => s.Region.Area) : null,
            Kept = compared is null ? null : Kept(scenes, compared, subject),
        };
        if (seen.Length < 2)
        {
            return measures;
        }

        double Alike(Func<RgbImage, SubjectRegion, RgbImage> view) =>
            ClipI.Mean(clip.EmbedImages([.. seen.Select(s => view(s.Image, s.Region))], cancellationToken));

        return measures with
        {
            ClipI = Alike((image, region) => SubjectPictures.Crop(SubjectPictures.WithoutBackground(image, region), region)),
            Crop = Alike(SubjectPictures.Crop),
            Noise = Alike((image, region) => SubjectPictures.OnNoise(image, region)),
            Color = SubjectColor.Distance([.. seen.Select(s => SubjectColor.Mean(s.Image, s.Region))]),
            Patches = PatchSimilarity.Mean([.. seen.Select(s => PatchSimilarity.Inside(s.Patches, s.Region))]),
            Layout = Layout.Diversity([.. seen.Select(s => s.Region)]),
        };
    }

    private static double? Kept(IReadOnlyList<EvaluatedScene> scenes, IReadOnlyList<EvaluatedScene> compared, int subject)
    {
        (SubjectRegion Own, SubjectRegion Other)[] both =
        [
            .. scenes.Zip(compared)
                .Where(pair => pair.First.Subjects[subject] is not null && pair.Second.Subjects[subject] is not null)
                .Select(pair => (pair.First.Subjects[subject]!, pair.Second.Subjects[subject]!)),
        ];
        return both.Length == 0 ? null : Layout.Kept([.. both.Select(pair => pair.Own)], [.. both.Select(pair => pair.Other)]);
    }

    private sealed record SubjectMeasures
    {
        public double? ClipI { get; init; }

        public double? Crop { get; init; }

        public double? Noise { get; init; }

        public double? Color { get; init; }

        public double? Patches { get; init; }

        public double? Layout { get; init; }

        public double? Kept { get; init; }

        public double? Area { get; init; }
    }
}
