using StorySync.Attention;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Keeps what scenes read of anchors in each call of a layer, in a file from the beginning: memory does not grow with
/// it.</summary>
/// <param name="story">The anchors.</param>
/// <param name="dtype">The type to keep it in.</param>
internal sealed class KeyRecorder(Story story, ScalarType dtype) : BankRecorder(story), IKeyBank
{
    private readonly TensorSpool spool = new(dtype);

    public void Write(KeyAddress address, KeptKeys keys)
    {
        if (keys.Key.shape[0] == 0)
        {
            return;
        }

        using var scope = NewDisposeScope();
        var heads = keys.Key.shape[1];
        Tensor[] parts = keys.Output is { } output ? [keys.Key, keys.Value, output.unflatten(1, [heads, -1])] : [keys.Key, keys.Value];
        var kept = stack(parts).to(dtype, CPU);
        if (dtype == ScalarType.Float16 && !kept.isfinite().all().item<bool>())
        {
            throw new NonFiniteException(
                $"The anchors' keys in layer '{address.Layer}' at step {address.Step} are beyond what Float16 can hold; set "
                    + "StoryOptions.BankKeysDtype to BFloat16, which takes as many bytes, or leave it out.");
        }

        spool.Append(StoryBankFormat.KeysName(address), kept);
        Keep(StoryBankFormat.TokensName(address), KeptPositions.ToTensor(keys.Positions));
    }

    public KeptKeys? Read(KeyAddress address) => throw new NotSupportedException("What is being recorded is not read.");

    public override Tensor Enter(int step, bool isBase, Tensor latents)
    {
        if (!isBase)
        {
            KeepMasks(replaces: true);
        }

        return latents;
    }

    /// <inheritdoc/>
    public override void Leave(Tensor latents)
    {
        KeepMasks(replaces: false);
        Keep(StoryBankFormat.FinalName, Copy(latents));
    }

    /// <inheritdoc/>
    public override Dictionary<string, Tensor> Take()
    {
        var keys = spool.Map();
        foreach (var (name, tensor) in base.Take())
        {
            keys.Add(name, tensor);
        }

        return keys;
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        spool.Dispose();
    }

    /// <summary>Keeps where the subjects are, as the last step has it.</summary>
    private void KeepMasks(bool replaces)
    {
        using var scope = NewDisposeScope();
        foreach (var (anchor, subject) in
            from anchor in Enumerable.Range(0, Story.Scenes.Count)
            from subject in Enumerable.Range(0, Story.Subjects.Count)
            where StoryRules.InScene(Story, anchor, Story.Subjects[subject]).IsPresent
            select (anchor, subject))
        {
            var name = StoryBankFormat.MaskName(anchor, subject);
            if ((replaces || !Has(name)) && Attention.MaskOf(anchor, subject) is { } mask)
            {
                Keep(name, mask);
            }
        }
    }
}
