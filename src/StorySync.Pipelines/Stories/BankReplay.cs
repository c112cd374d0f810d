using StorySync.Attention;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Puts a bank's anchors into the first rows of each step, as they were when they were made.</summary>
/// <param name="bank">The bank.</param>
/// <param name="attention">The run's techniques.</param>
internal sealed class BankReplay(StoryBank bank, StoryAttention attention) : IStepEntry
{
    /// <summary>Gets what looks at the latents first.</summary>
    public IStepEntry? Watch { get; init; }

    public Tensor Enter(int step, bool isBase, Tensor latents)
    {
        using var scope = NewDisposeScope();
        Watch?.Enter(step, isBase, latents);
        if (!isBase && bank.Find(StoryBankFormat.MasksName(step)) is { } masks)
        {
            foreach (var (anchor, subject) in bank.FoundSubjects)
            {
                attention.SetMask(anchor, subject, masks[anchor, subject]);
            }
        }

        // A single anchor shares with nobody while it is made, so that its unmodified branch is itself.
        var kept = bank.Find(StoryBankFormat.LatentsName(step, isBase)) ?? bank.Find(StoryBankFormat.LatentsName(step, isBase: false))!;
        var anchors = DeviceTransfer.Send(kept.to(latents.dtype), latents.device);
        return cat([anchors, latents.narrow(0, bank.Anchors, latents.shape[0] - bank.Anchors)], dim: 0).MoveToOuterDisposeScope();
    }
}
