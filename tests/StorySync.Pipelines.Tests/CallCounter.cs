using StorySync.Attention;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Plain attention that keeps count of a run's calls.</summary>
internal sealed class CallCounter : IAttentionProcessor
{
    public List<(int Step, string Path, int Rows)> Calls { get; } = [];

    public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
    {
        Calls.Add((context.Step, layer.Path, (int)inputs.Query.shape[0]));
        return PlainAttention.Instance.Attend(layer, inputs, context);
    }
}
