using StorySync.Attention;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Keeps on the host what a bank has of its anchors, while they are made.</summary>
internal sealed class BankRecorder(Story story, StoryAttention attention) : IStepEntry, IDisposable
{
    private Dictionary<string, Tensor> tensors = [];

    public Tensor Enter(int step, bool isBase, Tensor latents)
    {
        using var scope = NewDisposeScope();
        tensors[StoryBank.LatentsName(step, isBase)] = latents.to(ScalarType.Float32, CPU, copy: true).DetachFromDisposeScope();
        if (!isBase && Masks() is { } masks)
        {
            tensors[StoryBank.MasksName(step)] = masks.DetachFromDisposeScope();
        }

        return latents;
    }

    /// <summary>Hands over what was recorded.</summary>
    public Dictionary<string, Tensor> Take()
    {
        var taken = tensors;
        tensors = [];
        return taken;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in tensors.Values)
        {
            tensor.Dispose();
        }
    }

    /// <summary>The masks in force that were found, (anchors, subjects, height, width); null while there are none.</summary>
    private Tensor? Masks()
    {
        Tensor? all = null;
        foreach (var (anchor, subject) in StoryRules.FoundSubjects(story, story.Scenes.Count))
        {
            if (attention.MaskOf(anchor, subject) is { } mask)
            {
                all ??= zeros([story.Scenes.Count, story.Subjects.Count, .. mask.shape], ScalarType.Bool);
                all[anchor, subject] = mask;
            }
        }

        return all;
    }
}
