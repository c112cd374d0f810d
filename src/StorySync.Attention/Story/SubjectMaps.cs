using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>The attention that the image tokens of each scene pay to the subjects' text tokens, averaged over tokens, heads and layers,
/// and, with decay, over the steps. A layer's map is scaled to [0, 1] before it is averaged with others: how much a layer attends to a
/// word says nothing of how well it knows the place.</summary>
internal sealed class SubjectMaps(IReadOnlyList<StorySubject> subjects, int scenes, SubjectRegions regions, MaskOptions options)
    : IDisposable
{
    private readonly LayerFilter layers = new(options.Layers!);
    private readonly Dictionary<TokenGrid, List<Tensor>> thisStep = [];
    private TokenGrid? grid;
    private Tensor? subjectValues;
    private Tensor? average;

    /// <summary>Gets the layers that have been collected from in this step.</summary>
    public int Collected => thisStep.Count == 0 ? 0 : thisStep[Finest()].Count;

    /// <summary>Collects from a layer.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="inputs">Its queries and keys.</param>
    /// <param name="batch">The order of their rows.</param>
    /// <param name="isPlaced">Whether queries turn from the words of subjects in whose region they are not.</param>
    public void Collect(AttentionLayer layer, AttentionInputs inputs, StoryBatch batch, bool isPlaced)
    {
        var joint = layer.Kind == AttentionKind.Joint;
        var first = joint ? inputs.TextTokens : 0;
        if (inputs.Query.shape[2] - first != inputs.Grid.Tokens || (grid is not null && grid != inputs.Grid)
            || !layers.Contains(layer.Path))
        {
            return;
        }

        using var scope = NewDisposeScope();
        var text = inputs.TextTokens;
        var query = batch.Conditional(inputs.Query).narrow(2, first, inputs.Grid.Tokens);
        var key = batch.Conditional(inputs.Key).narrow(2, 0, text);

        // Values that are 1 / n at a subject's n tokens and 0 elsewhere make attention return the mean probability of those tokens:
        // the other tokens' probabilities are accumulated in the same pass and never stored.
        var values = SubjectValues(text, query).expand(-1, layer.Heads, -1, -1);
        var mask = Mask(inputs, batch, first, joint);
        var attended = ScaledDotProduct.Attend(query, key, values, mask);
        if (isPlaced)
        {
            attended = regions.Apply(attended, query, key, values, mask, inputs.Grid, first: 0, text, new(1, scenes));
        }

        var map = attended.narrow(3, 0, subjects.Count).mean([1], type: ScalarType.Float32);
        if (!thisStep.TryGetValue(inputs.Grid, out var maps))
        {
            thisStep.Add(inputs.Grid, maps = []);
        }

        maps.Add(map.DetachFromDisposeScope());
    }

    /// <summary>Returns the maps of this step so far together with those of the steps before, (scenes, subjects, height, width); null if
    /// there are none.</summary>
    public Tensor? Average()
    {
        if (thisStep.Count == 0)
        {
            return null;
        }

        using var scope = NewDisposeScope();
        var finest = Finest();
        var maps = SubjectMask.Scale(stack(thisStep[finest]).transpose(2, 3).unflatten(3, [finest.Height, finest.Width])).unbind();
        var step = maps.Skip(1).Aggregate(maps[0], (sum, map) => sum.Plus_(map)).Over(maps.Length);
        return (average is null ? step : average.Times(options.Decay!.Value).Plus(step)).MoveToOuterDisposeScope();
    }

    /// <summary>Ends the step: what it gave becomes part of the steps before.</summary>
    public void CompleteStep(Tensor average)
    {
        grid ??= Finest();
        this.average?.Dispose();
        this.average = average.alias().DetachFromDisposeScope();
        Clear();
    }

    public void Dispose()
    {
        Clear();
        average?.Dispose();
        subjectValues?.Dispose();
    }

    private static int Side(TokenGrid grid) => Math.Max(grid.Height, grid.Width);

    private static Tensor? Mask(AttentionInputs inputs, StoryBatch batch, int first, bool joint)
    {
        if (inputs.Mask is not { } mask)
        {
            return null;
        }

        mask = mask.shape[0] == 1 ? mask : batch.Conditional(mask);
        mask = !joint || mask.shape[2] == 1 ? mask : mask.narrow(2, first, inputs.Grid.Tokens);
        return !joint || mask.shape[3] == 1 ? mask : mask.narrow(3, 0, inputs.TextTokens);
    }

    /// <summary>The finest grid so far that is small enough, or the smallest of all if none is.</summary>
    private TokenGrid Finest()
    {
        var most = Math.Max(options.MaxGrid!.Value, thisStep.Keys.Min(Side));
        return thisStep.Keys.Where(candidate => Side(candidate) <= most).MaxBy(candidate => candidate.Tokens);
    }

    private void Clear()
    {
        foreach (var map in thisStep.Values.SelectMany(maps => maps))
        {
            map.Dispose();
        }

        thisStep.Clear();
    }

    /// <summary>(scenes, 1, text tokens, head width or more): fused attention wants values as wide as the queries.</summary>
    private Tensor SubjectValues(int textTokens, Tensor query)
    {
        var width = Math.Max(query.shape[3], subjects.Count);
        if (subjectValues is { } cached
            && cached.shape[2] == textTokens && cached.shape[3] == width
            && cached.dtype == query.dtype && cached.device_type == query.device_type && cached.device_index == query.device_index)
        {
            return cached;
        }

        using var scope = NewDisposeScope();
        var values = zeros([scenes, 1, textTokens, width], ScalarType.Float32);
        for (var subject = 0; subject < subjects.Count; subject++)
        {
            subjects[subject].CheckTokens(textTokens);
            for (var scene = 0; scene < scenes; scene++)
            {
                foreach (var token in subjects[subject].Tokens[scene])
                {
                    values[scene, 0, token, subject] = 1f / subjects[subject].Tokens[scene].Count;
                }
            }
        }

        subjectValues?.Dispose();
        return subjectValues = DeviceTransfer.Send(values.to_type(query.dtype), query.device).DetachFromDisposeScope();
    }
}
