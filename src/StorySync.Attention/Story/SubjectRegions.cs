using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Represents the regions that subjects are given in scenes: whose words each image token turns from.</summary>
internal sealed class SubjectRegions : IDisposable
{
    // In logits: no weight is left of it in any type, and where all words are lowered alike, softmax still tells them apart.
    private const double Hidden = 5000;

    private readonly IReadOnlyList<StorySubject> subjects;
    private readonly Tensor?[][] regions;
    private readonly double strength;
    private readonly Dictionary<(TokenGrid Grid, int First), IReadOnlyList<IReadOnlyList<PlacedQueries>>> placed = [];
    private readonly Dictionary<object, SharingIndices> indices = [];
    private readonly HashSet<(int Scene, int Subject)> reached = [];

    public SubjectRegions(IReadOnlyList<StorySubject> subjects, int scenes, double strength)
    {
        (this.subjects, this.strength) = (subjects, Math.Min(strength, Hidden));
        using var scope = NewDisposeScope();
        regions = [.. subjects.Select(subject => Enumerable.Range(0, scenes).Select(scene => subject.Regions?[scene] is { } region
            ? DeviceTransfer.Fetch(region).NotEqualTo(0).DetachFromDisposeScope() : null).ToArray())];
        Any = regions.Any(ofSubject => ofSubject.Any(region => region is not null));
    }

    /// <summary>Gets a value indicating whether there is any region.</summary>
    public bool Any { get; }

    /// <summary>Returns the region of a subject in a scene, bool, (height, width); null if it is given none.</summary>
    public Tensor? Of(int scene, int subject) => regions[subject][scene];

    /// <summary>Returns the regions, by scene and subject, that every grid so far was too coarse for.</summary>
    public IEnumerable<(int Scene, int Subject)> FindUnplaced() => placed.Count == 0 ? [] :
        from subject in Enumerable.Range(0, subjects.Count)
        from scene in Enumerable.Range(0, regions[subject].Length)
        where regions[subject][scene] is not null && !reached.Contains((scene, subject))
        select (scene, subject);

    /// <summary>For each scene the image tokens that turn from words, by which words these are.</summary>
    /// <param name="grid">The grid of the image tokens.</param>
    /// <param name="first">The place of the first image token in its sequence.</param>
    public IReadOnlyList<IReadOnlyList<PlacedQueries>> On(TokenGrid grid, int first)
    {
        if (!placed.TryGetValue((grid, first), out var found))
        {
            found = [.. Enumerable.Range(0, regions.FirstOrDefault()?.Length ?? 0).Select(scene => InScene(scene, grid, first))];
            placed.Add((grid, first), found);
        }

        return found;
    }

    /// <summary>Lets image tokens turn from the words of the subjects in whose region they are not.</summary>
    /// <param name="attended">What they attended to without regions, (rows, heads, queries, value width); it may be written to.</param>
    /// <param name="query">Queries.</param>
    /// <param name="key">Keys; the text tokens are the first.</param>
    /// <param name="value">Values.</param>
    /// <param name="mask">Added to the logits, (rows or 1, 1, 1, keys); null for none.</param>
    /// <param name="grid">The grid of the image tokens.</param>
    /// <param name="first">The place of the first image token among the queries.</param>
    /// <param name="text">The number of text tokens.</param>
    /// <param name="rows">Where the scenes are among the rows.</param>
    public Tensor Apply(
        Tensor attended, Tensor query, Tensor key, Tensor value, Tensor? mask, TokenGrid grid, int first, int text, ImageRows rows)
    {
        foreach (var subject in subjects)
        {
            subject.CheckTokens(text);
        }

        Reading[] readings = [.. On(grid, first).SelectMany((ofScene, scene) =>
            ofScene.Select(part => new Reading(scene, part.Queries, [], [], part.Words)))];
        if (readings.Length == 0)
        {
            return attended;
        }

        var of = (grid, first, query.shape[2], key.shape[2], rows, query.dtype, query.device_type, query.device_index);
        if (!indices.TryGetValue(of, out var found))
        {
            found = SharingIndices.Of(
                readings, (int)query.shape[2], (int)key.shape[2], rows, query.dtype, query.device, apart: false);
            indices.Add(of, found);
        }

        return SharedAttention.Overwrite(attended, query, key, value, mask, rotary: null, found);
    }

    public void Dispose()
    {
        foreach (var region in regions.SelectMany(ofSubject => ofSubject))
        {
            region?.Dispose();
        }

        foreach (var entry in indices.Values)
        {
            entry.Dispose();
        }
    }

    private PlacedQueries[] InScene(int scene, TokenGrid grid, int first)
    {
        using var scope = NewDisposeScope();

        // A grid too coarse to have a region does not place its subject.
        var inside = Enumerable.Range(0, subjects.Count).Where(subject => regions[subject][scene] is not null)
            .Select(subject => (Subject: subject, Cells: Cells(regions[subject][scene]!)))
            .Where(region => region.Cells.Contains(true)).ToList();
        reached.UnionWith(inside.Select(region => (scene, region.Subject)));
        return [.. Enumerable.Range(0, grid.Tokens)
            .GroupBy(token => string.Concat(inside.Select(region => region.Cells[token] ? '+' : '-')))
            .Where(group => group.Key.Contains('-', StringComparison.Ordinal))
            .Select(group => new PlacedQueries(
                [.. group.Select(token => first + token)],
                [.. inside.Where((_, i) => group.Key[i] == '-').SelectMany(region => subjects[region.Subject].Tokens[scene])
                    .Select(token => new WordBias(token, -strength))]))];

        bool[] Cells(Tensor region) => MaskResize.Apply(region, grid.Height, grid.Width).data<bool>().ToArray();
    }
}
