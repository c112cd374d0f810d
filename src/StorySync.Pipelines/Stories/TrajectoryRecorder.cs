using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Keeps the latents with which anchors enter each step, and the masks then in force.</summary>
/// <param name="story">The anchors.</param>
internal sealed class TrajectoryRecorder(Story story) : BankRecorder(story)
{
    public override Tensor Enter(int step, bool isBase, Tensor latents)
    {
        using var scope = NewDisposeScope();
        Keep(StoryBankFormat.LatentsName(step, isBase), Copy(latents));
        if (!isBase && Masks() is { } masks)
        {
            Keep(StoryBankFormat.MasksName(step), masks);
        }

        return latents;
    }

    /// <summary>The masks in force that were found, (anchors, subjects, height, width); null until all are, up to which regions stand for
    /// those that have one.</summary>
    private Tensor? Masks()
    {
        Tensor? all = null;
        foreach (var (anchor, subject) in StoryRules.FoundSubjects(Story, Story.Scenes.Count))
        {
            if (Attention.MaskOf(anchor, subject) is not { } mask)
            {
                return null;
            }

            all ??= zeros([Story.Scenes.Count, Story.Subjects.Count, .. mask.shape], ScalarType.Bool);
            all[anchor, subject] = mask;
        }

        return all;
    }
}
