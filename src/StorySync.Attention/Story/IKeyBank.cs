using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Stores what other scenes read of anchors, so that later scenes can read them with no anchor in their batch: a run of the
/// anchors writes (<see cref="StoryAttention.Recorder"/>), a run of other scenes reads (<see cref="StoryAttention.Keys"/>).</summary>
public interface IKeyBank
{
    /// <summary>Keeps the anchors' tokens of a call.</summary>
    /// <param name="address">The call.</param>
    /// <param name="keys">The tokens. The tensors are the caller's; what outlives the call is to be copied.</param>
    void Write(KeyAddress address, KeptKeys keys);

    /// <summary>Gets the anchors' tokens of a call.</summary>
    /// <param name="address">The call.</param>
    /// <returns>The tokens, or null if none are kept of it: then no anchor is read there. The tensors may be of any type and on any device;
    /// they are not disposed.</returns>
    KeptKeys? Read(KeyAddress address);
}

/// <summary>Identifies the call of an attention layer.</summary>
/// <param name="Step">The step, from 0.</param>
/// <param name="Layer">The layer's path.</param>
/// <param name="Branch">The guidance half.</param>
public readonly record struct KeyAddress(int Step, string Layer, GuidanceBranch Branch);

/// <summary>Represents the subjects' tokens of some anchors in one layer's call and guidance half.</summary>
/// <param name="Positions">For each anchor and subject where the tokens are among the anchor's image tokens; one more list for those of no
/// subject, where anchors of a location share them. The same object for calls that have the same positions spares work.</param>
/// <param name="Key">Their keys, as the layer's <see cref="AttentionInputs"/> have them, (tokens, heads, head width): anchor by anchor, in
/// each subject by subject.</param>
/// <param name="Value">Their values, (tokens, heads, value width).</param>
/// <param name="Output">What they attended to, before it was harmonized, (tokens, heads · value width); null where nothing is
/// harmonized.</param>
public sealed record KeptKeys(
    IReadOnlyList<IReadOnlyList<IReadOnlyList<int>>> Positions, Tensor Key, Tensor Value, Tensor? Output);
