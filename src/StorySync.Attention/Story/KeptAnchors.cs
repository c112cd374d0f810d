using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Represents anchors of which tokens are kept, as images before those of a batch: their other tokens are 0, and nothing reads
/// them.</summary>
/// <param name="halves">What is kept, for each guidance half of the batch.</param>
/// <param name="tokens">Where the subjects are, in the anchors and after them in the scenes.</param>
internal sealed class KeptAnchors(IReadOnlyList<KeptKeys> halves, SubjectTokens tokens)
{
    /// <summary>Gets the number of anchors.</summary>
    public int Count => halves[0].Positions.Count;

    /// <summary>Gets where the subjects are, in the anchors and after them in the scenes.</summary>
    public SubjectTokens Tokens => tokens;

    /// <summary>Gets a value indicating whether there are outputs to harmonize with.</summary>
    public bool HasOutputs => halves.All(half => half.Output is not null);

    /// <summary>Puts the anchors' keys before those of the scenes, (halves · images, heads, tokens, width).</summary>
    public Tensor WithKeys(Tensor scenes) => With(scenes.transpose(1, 2), half => half.Key).transpose(1, 2);

    /// <summary>Puts the anchors' values before those of the scenes, (halves · images, heads, tokens, width).</summary>
    public Tensor WithValues(Tensor scenes) => With(scenes.transpose(1, 2), half => half.Value).transpose(1, 2);

    /// <summary>Puts zeros before the scenes' queries or results, (halves · images, heads, tokens, width).</summary>
    public Tensor WithNothing(Tensor scenes) => With(scenes.transpose(1, 2), null).transpose(1, 2);

    /// <summary>Puts the anchors' outputs before those of the scenes, (halves · images, tokens, width).</summary>
    public Tensor WithOutputs(Tensor scenes) => With(scenes, half => half.Output!);

    /// <summary>Takes the scenes out again.</summary>
    public Tensor Scenes(Tensor images)
    {
        var scenes = (images.shape[0] / halves.Count) - Count;
        return images.unflatten(0, [halves.Count, -1]).narrow(1, Count, scenes).flatten(0, 1);
    }

    /// <summary>(halves · images, tokens, …).</summary>
    private Tensor With(Tensor scenes, Func<KeptKeys, Tensor>? part)
    {
        using var scope = NewDisposeScope();
        long[] shape = scenes.shape[2..];
        long[] places = [.. halves[0].Positions.SelectMany((ofAnchor, anchor) => ofAnchor.SelectMany(positions => positions)
            .Select(position => ((long)anchor * tokens.Length) + tokens.TextTokens + position))];
        var at = part is null ? null : DeviceTransfer.Send(tensor(places), scenes.device);
        var anchors = stack([.. halves.Select(half =>
        {
            var all = zeros([Count * (long)tokens.Length, .. shape], scenes.dtype, scenes.device);
            return part is null ? all : all.index_copy_(0, at!, part(half).to(scenes.dtype, scenes.device));
        })]);
        return cat([anchors.unflatten(1, [Count, tokens.Length]), scenes.unflatten(0, [halves.Count, -1])], 1).flatten(0, 1)
            .MoveToOuterDisposeScope();
    }
}
