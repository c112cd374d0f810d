using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>The masks of a run: those given, and those found so far. They are kept on the host: once per step they come from the device,
/// and every grid's indices follow from there.</summary>
internal sealed class SubjectMasks : IDisposable
{
    private readonly IReadOnlyList<StorySubject> _subjects;
    private readonly int _scenes;
    private readonly MaskOptions _options;
    private readonly Dictionary<(TokenGrid Grid, int TextTokens), SubjectTokens> _tokens = [];
    private readonly Tensor?[][] _given;
    private Tensor? _found;
    private Tensor? _maps;

    public SubjectMasks(IReadOnlyList<StorySubject> subjects, int scenes, MaskOptions options)
    {
        (_subjects, _scenes, _options) = (subjects, scenes, options);
        using var scope = NewDisposeScope();
        _given = [.. subjects.Select(subject => Enumerable.Range(0, scenes)
            .Select(scene => subject.Masks?[scene]?.cpu().ne(0).DetachFromDisposeScope()).ToArray())];
    }

    /// <summary>Whether masks have been found from the text yet.</summary>
    public bool Found => _found is not null;

    /// <summary>Makes new masks from the averaged maps, (scenes, subjects, height, width).</summary>
    public void Update(Tensor average)
    {
        using var scope = NewDisposeScope();
        var maps = SubjectMask.Scale(average);
        var masks = SubjectMask.Exclusive(maps, SubjectMask.Cut(maps)).cpu();
        if (_options.Repairs)
        {
            masks = stack(masks.flatten(0, 1).unbind()
                .Select(mask => MaskRepair.Apply(mask, _options.Closing, _options.Components, _options.MinArea))).view(masks.shape);
        }

        Clear();
        _found = masks.DetachFromDisposeScope();
        _maps = maps.cpu().DetachFromDisposeScope();
    }

    /// <summary>A subject's mask in a scene, bool, (height, width); null while there is none.</summary>
    public Tensor? MaskOf(int scene, int subject)
    {
        using var scope = NewDisposeScope();
        return (_given[subject][scene] ?? _found?[scene, subject])?.clone().MoveToOuterDisposeScope();
    }

    /// <summary>A subject's map in a scene, scaled to [0, 1], (height, width); null while there is none.</summary>
    public Tensor? MapOf(int scene, int subject)
    {
        using var scope = NewDisposeScope();
        return _maps?[scene, subject].clone().MoveToOuterDisposeScope();
    }

    /// <summary>The subjects' tokens on a layer's grid; null while there is no mask at all.</summary>
    public SubjectTokens? TokensOn(TokenGrid grid, int textTokens, Device device)
    {
        if (!Found && _given.All(masks => masks.All(mask => mask is null)))
        {
            return null;
        }

        if (!_tokens.TryGetValue((grid, textTokens), out var tokens))
        {
            using var scope = NewDisposeScope();
            var labels = stack(Enumerable.Range(0, _scenes).Select(scene => Labels(scene, grid)));
            tokens = SubjectTokens.FromLabels(
                labels, _subjects.Count, (scene, subject) => _subjects[subject].IsIn(scene), textTokens, device);
            _tokens.Add((grid, textTokens), tokens);
        }

        return tokens;
    }

    public void Dispose()
    {
        Clear();
        foreach (var mask in _given.SelectMany(masks => masks))
        {
            mask?.Dispose();
        }
    }

    private Tensor Labels(int scene, TokenGrid grid)
    {
        var labels = zeros(grid.Tokens, ScalarType.Int64);

        // Masks that overlap on this grid: the subject named first has the token.
        for (var subject = _subjects.Count - 1; subject >= 0; subject--)
        {
            if ((_given[subject][scene] ?? _found?[scene, subject]) is { } mask)
            {
                labels = labels.masked_fill(MaskResize.Apply(mask, grid.Height, grid.Width).flatten(), subject + 1);
            }
        }

        return labels;
    }

    private void Clear()
    {
        foreach (var tokens in _tokens.Values)
        {
            tokens.Dispose();
        }

        _tokens.Clear();
        _found?.Dispose();
        _maps?.Dispose();
        (_found, _maps) = (null, null);
    }
}
