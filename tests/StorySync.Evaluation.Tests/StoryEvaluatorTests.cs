using StorySync.Pipelines;
using StorySync.TestSupport;

namespace StorySync.Evaluation.Tests;

[Collection(typeof(AloneCollection))]
public sealed class StoryEvaluatorTests : IDisposable
{
    private static readonly SubjectRegion Left = Regions.Of("##..", "##..", "....", "....");
    private static readonly SubjectRegion Right = Regions.Of("....", "....", "..##", "..##");
    private static readonly SubjectRegion Empty = Regions.Of("....", "....", "....", "....");

    private readonly ClipEvaluator clip = ClipEvaluator.Load();

    private StoryEvaluator Evaluator => new(clip);

    [Fact]
    public void A_image_is_wholly_like_itself()
    {
        var measures = Evaluator.Measure([Scene(Left), Scene(Left)]);
        Assert.Equal(1, measures.ClipI!.Value, 1e-6);
        Assert.Equal(1, measures.ClipIImage!.Value, 1e-6);
        Assert.Equal(1, measures.ClipINoise!.Value, 1e-6);
        Assert.Equal(1, measures.Patches!.Value, 1e-6);
        Assert.Equal(0, measures.Color);
        Assert.Equal(0, measures.Layout);
        Assert.Equal(0.25, measures.Area);
    }

    [Fact]
    public void Scenes_without_the_subject_do_not_count()
    {
        var with = Evaluator.Measure([Scene(Left), Scene(Right)]);
        var without = Evaluator.Measure([Scene(Left), Scene(null), Scene(Right), Scene(Empty)]);
        Assert.Equal(with.ClipI, without.ClipI);
        Assert.Equal(with.Color, without.Color);
        Assert.Equal(with.Layout, without.Layout);
    }

    [Fact]
    public void What_cannot_be_compared_has_no_figure()
    {
        var measures = Evaluator.Measure([Scene(Left)]);
        Assert.Null(measures.ClipI);
        Assert.Null(measures.ClipIImage);
        Assert.Null(measures.Layout);
        Assert.Equal(0.25, measures.Area);
        Assert.Null(Evaluator.Measure([Scene(Empty), Scene(null)]).Area);
    }

    [Fact]
    public void Figures_of_several_subjects_are_means()
    {
        var both = Evaluator.Measure([Scene(Left, Left), Scene(Right, Left)]);
        Assert.Equal(0.5, both.Layout!.Value, 1e-12);
    }

    [Fact]
    public void Layout_is_compared_scene_by_scene()
    {
        var measures = Evaluator.Measure([Scene(Left), Scene(Right)], [Scene(Left), Scene(Left)]);
        Assert.Equal(0.5, measures.LayoutKept);
    }

    [Fact]
    public void Scenes_are_compared_with_each_anchor_and_not_with_each_other()
    {
        EvaluatedScene[] scenes = [Painted(200, 0, 0, Left), Painted(0, 0, 90, Right), Painted(1, 2, 3, null)];
        EvaluatedScene[] anchors = [Painted(100, 0, 0, Right), Painted(0, 40, 0, Left)];
        var measures = Evaluator.MeasureAgainst(scenes, anchors);

        double[] distances = [100, Length(200, 40), Length(90, 100), Length(90, 40)];
        Assert.Equal(distances.Average(), measures.Color!.Value, 1e-9);
        double[] pairs =
            [.. scenes.Take(2).SelectMany(_ => anchors, (scene, anchor) => Evaluator.Measure([scene, anchor]).ClipI!.Value)];
        Assert.Equal(pairs.Average(), measures.ClipI!.Value, 1e-6);
        var itself = Evaluator.MeasureAgainst([Scene(Left), Scene(Left)], [Scene(Left)]);
        Assert.Equal((1, 0), (Math.Round(itself.ClipI!.Value, 5), itself.Color!.Value));
        Assert.Equal(new AnchorMeasures(), Evaluator.MeasureAgainst([Scene(Empty)], [Scene(Left)]));
        Assert.Throws<ArgumentException>(() => Evaluator.MeasureAgainst([Scene(Left)], []));
        Assert.Throws<ArgumentException>(() => Evaluator.MeasureAgainst([], [Scene(Left)]));
        Assert.Throws<ArgumentException>(() => Evaluator.MeasureAgainst([Scene(Left)], [Scene(Left, Right)]));

        static double Length(double a, double b) => Math.Sqrt((a * a) + (b * b));
    }

    [Fact]
    public void Scenes_that_do_not_fit_together_are_refused()
    {
        Assert.Throws<ArgumentException>(() => Evaluator.Measure([]));
        Assert.Throws<ArgumentException>(() => Evaluator.Measure([Scene(Left), Scene(Left, Right)]));
        Assert.Throws<ArgumentException>(() => Evaluator.Measure([Scene(Left)], [Scene(Left), Scene(Right)]));
    }

    [Fact]
    public void Long_texts_are_cut_and_measured() =>
        Assert.Equal(clip.EmbedTexts(["a bear"])[0].Length, clip.EmbedTexts([string.Join(' ', Enumerable.Repeat("bear", 200))])[0].Length);

    [Fact]
    public void No_tensor_is_left() => LiveTensors.AssertNoneLeft(() => Evaluator.Measure([Scene(Left), Scene(Right)]));

    public void Dispose() => clip.Dispose();

    private static EvaluatedScene Painted(byte red, byte green, byte blue, SubjectRegion? region)
    {
        byte[] color = [red, green, blue];
        return new("a bear", new RgbImage(64, 48, [.. Enumerable.Range(0, 64 * 48 * 3).Select(i => color[i % 3])]), [region]);
    }

    private static EvaluatedScene Scene(params SubjectRegion?[]? subjects) => new("a bear", Images.Numbered(64, 48), subjects ?? [null]);
}
