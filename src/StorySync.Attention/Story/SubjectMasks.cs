using StorySync.Kernels;
using TorchSharp;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Represents the masks of a run: those given, and those found so far. How many tokens a mask has decides the shapes of what
/// follows, so they are made on the host: the maps come from the device once, between two steps, and every grid's indices go back at its
/// first use.</summary>
internal sealed class SubjectMasks : IDisposable
{
    private readonly IReadOnlyList<StorySubject> subjects;
    private readonly int scenes;
    private readonly SubjectRegions regions;
    private readonly MaskOptions options;
    private readonly Dictionary<(TokenGrid Grid, int TextTokens), SubjectTokens> tokens = [];
    private readonly Dictionary<(TokenGrid Grid, int TextTokens), (object Positions, SubjectTokens Tokens)> withKept = [];
    private readonly Tensor?[][] given;
    private readonly bool[][] isSet;
    private Tensor? found;
    private Tensor? maps;

    public SubjectMasks(IReadOnlyList<StorySubject> subjects, int scenes, SubjectRegions regions, MaskOptions options)
    {
        (this.subjects, this.scenes, this.regions, this.options) = (subjects, scenes, regions, options);
        using var scope = NewDisposeScope();
        given = [.. subjects.Select(subject => Enumerable.Range(0, scenes)
            .Select(scene => subject.Masks?[scene] is { } mask ? DeviceTransfer.Fetch(mask).NotEqualTo(0).DetachFromDisposeScope()
                : null).ToArray())];
        isSet = [.. subjects.Select(_ => new bool[scenes])];
    }

    /// <summary>Gets or sets whether a scene reads another; null for all.</summary>
    public Func<int, int, bool>? Reads { get; set; }

    /// <summary>Gets or sets where each scene is; null where that does not matter.</summary>
    public IReadOnlyList<string?>? Locations { get; set; }

    /// <summary>Gets or sets where each kept anchor is; null where that does not matter.</summary>
    public IReadOnlyList<string?>? KeptLocations { get; set; }

    /// <summary>Gets a value indicating whether masks have been found from the text yet.</summary>
    public bool Found => found is not null;

    /// <summary>Refuses a subject's mask or region that is not two-dimensional.</summary>
    public static void Check(StorySubject subject, Tensor? mask, string name, string what = "mask")
    {
        if (mask is not null && mask.dim() != 2)
        {
            throw new ArgumentException(
                $"A {what} of the subject '{subject.Name}' has shape ({string.Join(", ", mask.shape)}); (height, width) is needed.", name);
        }
    }

    /// <summary>Makes new masks from the averaged maps, (scenes, subjects, height, width).</summary>
    public void Update(Tensor average)
    {
        using var scope = NewDisposeScope();
        var maps = SubjectMask.Scale(DeviceTransfer.Fetch(average));
        var masks = SubjectMask.Exclusive(maps, SubjectMask.Threshold(maps));
        if (options.Repairs)
        {
            masks = MaskRepair.ApplyToAll(masks.flatten(0, 1), options.Closing!.Value, options.Components!.Value,
                options.MinArea!.Value).view(masks.shape);
        }

        Clear();
        found = masks.DetachFromDisposeScope();
        this.maps = maps.DetachFromDisposeScope();
    }

    /// <summary>Sets a subject's mask in a scene, nonzero where the subject is; null: the scene lacks it.</summary>
    public void Set(int scene, int subject, Tensor? mask)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(scene);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(scene, scenes);
        ArgumentOutOfRangeException.ThrowIfNegative(subject);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(subject, subjects.Count);
        Check(subjects[subject], mask, nameof(mask));
        using var scope = NewDisposeScope();
        given[subject][scene]?.Dispose();
        given[subject][scene] = mask is null ? null : DeviceTransfer.Fetch(mask).NotEqualTo(0).DetachFromDisposeScope();
        isSet[subject][scene] = true;
        ClearTokens();
    }

    /// <summary>Returns a subject's mask in a scene, bool, (height, width); null while there is none.</summary>
    public Tensor? MaskOf(int scene, int subject)
    {
        using var scope = NewDisposeScope();
        var mask = isSet[subject][scene] ? given[subject][scene]
            : given[subject][scene] ?? found?[scene, subject] ?? regions.Of(scene, subject);
        return mask?.clone().MoveToOuterDisposeScope();
    }

    /// <summary>Returns a subject's map in a scene, scaled to [0, 1], (height, width); null while there is none.</summary>
    public Tensor? MapOf(int scene, int subject) => Scoped(() => maps?[scene, subject].clone());

    /// <summary>Returns the subjects' tokens on a layer's grid; null while there is no mask at all.</summary>
    /// <param name="grid">The grid.</param>
    /// <param name="textTokens">How many text tokens lead the sequences.</param>
    /// <param name="device">Where the layer's tensors are.</param>
    /// <param name="always">Whether scenes take part without masks, too: their background can read.</param>
    public SubjectTokens? TokensOn(TokenGrid grid, int textTokens, Device device, bool always)
    {
        var located = KnownLocations();
        if (!always && !Found && !regions.Any && subjects.Count > 0 && given.All(masks => masks.All(mask => mask is null))
            && located?.Any(location => location is not null) != true)
        {
            return null;
        }

        if (!tokens.TryGetValue((grid, textTokens), out var onGrid))
        {
            var placed = regions.Any && textTokens > 0 ? regions.On(grid, textTokens) : null;
            onGrid = new SubjectTokens(Labels(grid), subjects.Count, IsIn, textTokens, device, Reads, located, placed);
            tokens.Add((grid, textTokens), onGrid);
        }

        return onGrid;
    }

    /// <summary>Returns the subjects' tokens in kept anchors and, after them, in the scenes, which read the anchors.</summary>
    public SubjectTokens TokensWith(
        IReadOnlyList<IReadOnlyList<IReadOnlyList<int>>> kept, TokenGrid grid, int textTokens, Device device)
    {
        if (withKept.TryGetValue((grid, textTokens), out var known) && ReferenceEquals(known.Positions, kept))
        {
            return known.Tokens;
        }

        known.Tokens?.Dispose();
        var anchors = kept.Count;
        var labels = kept.Select(ofAnchor =>
        {
            var ofImage = new long[grid.Tokens];
            foreach (var (subject, positions) in ofAnchor.Take(subjects.Count).Index())
            {
                foreach (var position in positions)
                {
                    ofImage[position] = subject + 1;
                }
            }

            return ofImage;
        });
        var placed = regions.Any && textTokens > 0 ? regions.On(grid, textTokens) : null;
        var onGrid = new SubjectTokens(
            [.. labels, .. Labels(grid)],
            subjects.Count,
            (image, subject) => image < anchors || IsIn(image - anchors, subject),
            textTokens,
            device,
            (image, other) => image >= anchors && (other < anchors || Reads?.Invoke(image - anchors, other - anchors) != false),
            KnownLocations() is { } located ? [.. kept.Select(LocationOf), .. located] : null,
            placed is null ? null : [.. kept.Select(_ => (IReadOnlyList<PlacedQueries>)[]), .. placed],
            new KeptRows(kept, textTokens, textTokens + grid.Tokens));
        withKept[(grid, textTokens)] = (kept, onGrid);
        return onGrid;

        // Of an anchor whose background was not known yet, none is kept.
        string? LocationOf(IReadOnlyList<IReadOnlyList<int>> ofAnchor, int anchor) =>
            ofAnchor.Count > subjects.Count && ofAnchor[subjects.Count].Count > 0 ? KeptLocations?[anchor] : null;
    }

    public void Dispose()
    {
        Clear();
        foreach (var mask in given.SelectMany(masks => masks))
        {
            mask?.Dispose();
        }
    }

    /// <summary>For every token of every scene 0 for background or s for subject s.</summary>
    private long[][] Labels(TokenGrid grid)
    {
        using var scope = NewDisposeScope();
        var foundOnGrid = found is null ? null : Cells(found);
        var labels = new long[scenes][];
        for (var scene = 0; scene < scenes; scene++)
        {
            labels[scene] = new long[grid.Tokens];

            // Masks that overlap on this grid: the subject named first has the token.
            for (var subject = subjects.Count - 1; subject >= 0; subject--)
            {
                ReadOnlySpan<bool> cells = given[subject][scene] is { } mask ? Cells(mask)
                    : isSet[subject][scene] ? []
                    : foundOnGrid is null ? regions.Of(scene, subject) is { } region ? Cells(region) : []
                    : foundOnGrid.AsSpan(((scene * subjects.Count) + subject) * grid.Tokens, grid.Tokens);
                for (var token = 0; token < cells.Length; token++)
                {
                    labels[scene][token] = cells[token] ? subject + 1 : labels[scene][token];
                }
            }
        }

        return labels;

        bool[] Cells(Tensor masks) => MaskResize.Apply(masks, grid.Height, grid.Width).data<bool>().ToArray();
    }

    /// <summary>Where each scene is of which it is known what belongs to no subject, whatever is known of others.</summary>
    private IReadOnlyList<string?>? KnownLocations() => Locations is null ? null : [.. Locations.Select((location, scene) =>
        Found || Enumerable.Range(0, subjects.Count).All(subject => !IsIn(scene, subject) || isSet[subject][scene]
            || given[subject][scene] is not null || regions.Of(scene, subject) is not null) ? location : null)];

    private bool IsIn(int scene, int subject) =>
        isSet[subject][scene] ? given[subject][scene] is not null : subjects[subject].IsIn(scene);

    private void Clear()
    {
        ClearTokens();
        found?.Dispose();
        maps?.Dispose();
        (found, maps) = (null, null);
    }

    private void ClearTokens()
    {
        foreach (var onGrid in tokens.Values)
        {
            onGrid.Dispose();
        }

        foreach (var onGrid in withKept.Values)
        {
            onGrid.Tokens.Dispose();
        }

        tokens.Clear();
        withKept.Clear();
    }
}
