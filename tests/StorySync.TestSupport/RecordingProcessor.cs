using StorySync.Attention;
using static TorchSharp.torch;

namespace StorySync.TestSupport;

/// <summary>Plain attention that remembers its calls.</summary>
/// <param name="onCall">Called in each call, once it is remembered.</param>
/// <param name="keepInputs">Whether a copy of query, key, value and rotary embedding is kept with each call.</param>
public sealed class RecordingProcessor(Action? onCall = null, bool keepInputs = false) : IAttentionProcessor, IDisposable
{
    private readonly List<AttentionCall> calls = [];
    private readonly List<Tensor> copies = [];

    /// <summary>The calls so far, in their order.</summary>
    public IReadOnlyList<AttentionCall> Calls
    {
        get
        {
            lock (calls)
            {
                return [.. calls];
            }
        }
    }

    public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
    {
        lock (calls)
        {
            calls.Add(new AttentionCall(layer, context.Step, inputs.Grid, inputs.TextTokens)
            {
                Query = inputs.Query.shape,
                Key = inputs.Key.shape,
                Value = inputs.Value.shape,
                Mask = inputs.Mask?.shape,
                Rotary = inputs.Rotary?.Turns.shape,
                Inputs = keepInputs ? Copy(inputs) : null,
            });
        }

        onCall?.Invoke();
        return PlainAttention.Instance.Attend(layer, inputs, context);
    }

    public void Dispose() => copies.ForEach(copy => copy.Dispose());

    private AttentionInputs Copy(AttentionInputs inputs) => inputs with
    {
        Query = Copy(inputs.Query),
        Key = Copy(inputs.Key),
        Value = Copy(inputs.Value),
        Rotary = inputs.Rotary is { } rotary ? Copy(rotary) : null,
    };

    private RotaryEmbedding Copy(RotaryEmbedding rotary)
    {
        using var tokens = arange(rotary.Turns.shape[0]);
        var copy = rotary.At(tokens);
        copies.Add(copy.Turns.DetachFromDisposeScope());
        return copy;
    }

    private Tensor Copy(Tensor tensor)
    {
        copies.Add(tensor.clone().DetachFromDisposeScope());
        return copies[^1];
    }
}

/// <summary>A call of an attention processor: where it came from, and the shapes of what it was given.</summary>
/// <param name="Layer">The layer that calls.</param>
/// <param name="Step">The step of the run.</param>
/// <param name="Grid">The grid of image tokens.</param>
/// <param name="TextTokens">The number of text tokens.</param>
public sealed record AttentionCall(AttentionLayer Layer, int Step, TokenGrid Grid, int TextTokens)
{
    public required long[] Query { get; init; }

    public required long[] Key { get; init; }

    public required long[] Value { get; init; }

    public required long[]? Mask { get; init; }

    public required long[]? Rotary { get; init; }

    /// <summary>A copy of the inputs, or null when the recorder keeps none.</summary>
    public required AttentionInputs? Inputs { get; init; }
}
