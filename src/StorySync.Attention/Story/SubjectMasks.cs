using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>The masks of a run: those given, and those found so far. They are kept on the host: once per step they come from the device,
/// and every grid's indices follow from there.</summary>
internal sealed class SubjectMasks : IDisposable
{
    private readonly IReadOnlyList<StorySubject> subjects;
    private readonly int scenes;
    private readonly MaskOptions options;
    private readonly Dictionary<(TokenGrid Grid, int TextTokens), SubjectTokens> tokens = [];
    private readonly Tensor?[][] given;
    private Tensor? found;
    private Tensor? maps;

    public SubjectMasks(IReadOnlyList<StorySubject> subjects, int scenes, MaskOptions options)
    {
        (this.subjects, this.scenes, this.options) = (subjects, scenes, options);
        using var scope = NewDisposeScope();
        given = [.. subjects.Select(subject => Enumerable.Range(0, scenes)
            .Select(scene => subject.Masks?[scene]?.cpu().ne(0).DetachFromDisposeScope()).ToArray())];
    }

    /// <summary>Whether masks have been found from the text yet.</summary>
    public bool Found => found is not null;

    /// <summary>Makes new masks from the averaged maps, (scenes, subjects, height, width).</summary>
    public void Update(Tensor average)
    {
        using var scope = NewDisposeScope();
        var maps = SubjectMask.Scale(average);
        var masks = SubjectMask.Exclusive(maps, SubjectMask.Cut(maps)).cpu();
        if (options.Repairs)
        {
            masks = stack(masks.flatten(0, 1).unbind()
                .Select(mask => MaskRepair.Apply(mask, options.Closing, options.Components, options.MinArea))).view(masks.shape);
        }

        Clear();
        found = masks.DetachFromDisposeScope();
        this.maps = maps.cpu().DetachFromDisposeScope();
    }

    /// <summary>A subject's mask in a scene, bool, (height, width); null while there is none.</summary>
    public Tensor? MaskOf(int scene, int subject)
    {
        using var scope = NewDisposeScope();
        return (given[subject][scene] ?? found?[scene, subject])?.clone().MoveToOuterDisposeScope();
    }

    /// <summary>A subject's map in a scene, scaled to [0, 1], (height, width); null while there is none.</summary>
    public Tensor? MapOf(int scene, int subject)
    {
        using var scope = NewDisposeScope();
        return maps?[scene, subject].clone().MoveToOuterDisposeScope();
    }

    /// <summary>The subjects' tokens on a layer's grid; null while there is no mask at all.</summary>
    public SubjectTokens? TokensOn(TokenGrid grid, int textTokens, Device device)
    {
        if (!Found && given.All(masks => masks.All(mask => mask is null)))
        {
            return null;
        }

        if (!tokens.TryGetValue((grid, textTokens), out var onGrid))
        {
            using var scope = NewDisposeScope();
            var labels = stack(Enumerable.Range(0, scenes).Select(scene => Labels(scene, grid)));
            onGrid = SubjectTokens.FromLabels(
                labels, subjects.Count, (scene, subject) => subjects[subject].IsIn(scene), textTokens, device);
            tokens.Add((grid, textTokens), onGrid);
        }

        return onGrid;
    }

    public void Dispose()
    {
        Clear();
        foreach (var mask in given.SelectMany(masks => masks))
        {
            mask?.Dispose();
        }
    }

    private Tensor Labels(int scene, TokenGrid grid)
    {
        var labels = zeros(grid.Tokens, ScalarType.Int64);

        // Masks that overlap on this grid: the subject named first has the token.
        for (var subject = subjects.Count - 1; subject >= 0; subject--)
        {
            if ((given[subject][scene] ?? found?[scene, subject]) is { } mask)
            {
                labels = labels.masked_fill(MaskResize.Apply(mask, grid.Height, grid.Width).flatten(), subject + 1);
            }
        }

        return labels;
    }

    private void Clear()
    {
        foreach (var onGrid in tokens.Values)
        {
            onGrid.Dispose();
        }

        tokens.Clear();
        found?.Dispose();
        maps?.Dispose();
        (found, maps) = (null, null);
    }
}
