using StorySync.Pipelines;

namespace StorySync.Evaluation;

/// <summary>Computes all measures of a story.</summary>
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
            ClipIImage = scenes.Count > 1 ? ClipI.Mean(images) : null,
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

    /// <summary>Measures how near scenes are to the anchors that they read.</summary>
    /// <param name="scenes">The scenes, at least one, with as many subjects as the anchors.</param>
    /// <param name="anchors">The anchors, at least one.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    /// <exception cref="ArgumentException">There are no scenes or no anchors, or they do not fit together.</exception>
    public AnchorMeasures MeasureAgainst(
        IReadOnlyList<EvaluatedScene> scenes, IReadOnlyList<EvaluatedScene> anchors, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(scenes);
        ArgumentNullException.ThrowIfNull(anchors);
        Check([.. scenes, .. anchors], compared: null);
        if (scenes.Count == 0 || anchors.Count == 0)
        {
            throw new ArgumentException($"There are no {(scenes.Count == 0 ? "scenes" : "anchors")} to measure.", nameof(anchors));
        }

        AnchorMeasures[] subjects = [.. Enumerable.Range(0, scenes[0].Subjects.Count).Select(Between)];
        return new AnchorMeasures { ClipI = subjects.Average(s => s.ClipI), Color = subjects.Average(s => s.Color) };

        AnchorMeasures Between(int subject)
        {
            var (own, kept) = (Seen(scenes), Seen(anchors));
            return own.Length == 0 || kept.Length == 0 ? new() : new()
            {
                ClipI = ClipI.Between(Embedded(own), Embedded(kept)),
                Color = SubjectColor.Between(Colors(own), Colors(kept)),
            };

            (RgbImage Image, SubjectRegion Region)[] Seen(IReadOnlyList<EvaluatedScene> some) =>
                [.. some.Where(scene => scene.Region(subject) is not null).Select(scene => (scene.Image, scene.Region(subject)!))];
        }

        IReadOnlyList<float[]> Embedded(IEnumerable<(RgbImage Image, SubjectRegion Region)> seen) =>
            clip.EmbedImages([.. seen.Select(one => Alone(one.Image, one.Region))], cancellationToken);

        static IReadOnlyList<(double Red, double Green, double Blue)> Colors(IEnumerable<(RgbImage Image, SubjectRegion Region)> seen) =>
            [.. seen.Select(one => SubjectColor.Mean(one.Image, one.Region))];
    }

    private static RgbImage Alone(RgbImage image, SubjectRegion region) =>
        SubjectImages.Crop(SubjectImages.WithoutBackground(image, region), region);

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
            ClipI = Alike(Alone),
            Crop = Alike(SubjectImages.Crop),
            Noise = Alike((image, region) => SubjectImages.OnNoise(image, region)),
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
