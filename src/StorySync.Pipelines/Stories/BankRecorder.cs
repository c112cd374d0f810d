using StorySync.Attention;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Keeps on the host what a bank has of its anchors, while they are made.</summary>
/// <param name="story">The anchors.</param>
internal abstract class BankRecorder(Story story) : IStepEntry, IDisposable
{
    private Dictionary<string, Tensor> tensors = [];

    /// <summary>Gets the anchors.</summary>
    protected Story Story => story;

    /// <summary>Gets or sets the techniques of the run.</summary>
    protected StoryAttention Attention { get => field ?? throw new InvalidOperationException("The run has not begun."); set; }

    /// <summary>Creates what keeps a form.</summary>
    /// <param name="form">The form.</param>
    /// <param name="story">The anchors.</param>
    /// <param name="dtype">The type of keys.</param>
    public static BankRecorder Of(StoryBankForm form, Story story, ScalarType dtype) =>
        form == StoryBankForm.Keys ? new KeyRecorder(story, dtype) : new TrajectoryRecorder(story);

    /// <summary>Begins with a run.</summary>
    /// <param name="attention">Its techniques.</param>
    public IStepEntry Begin(StoryAttention attention)
    {
        Attention = attention;
        return this;
    }

    /// <inheritdoc/>
    public abstract Tensor Enter(int step, bool isBase, Tensor latents);

    /// <inheritdoc/>
    public virtual void Leave(Tensor latents)
    {
    }

    /// <summary>Hands over what was recorded.</summary>
    public virtual Dictionary<string, Tensor> Take()
    {
        var taken = tensors;
        tensors = [];
        return taken;
    }

    /// <inheritdoc/>
    public virtual void Dispose()
    {
        foreach (var tensor in tensors.Values)
        {
            tensor.Dispose();
        }
    }

    /// <summary>Keeps a tensor in place of one of its name.</summary>
    /// <param name="name">The name.</param>
    /// <param name="tensor">The tensor, which becomes the recorder's.</param>
    protected void Keep(string name, Tensor tensor)
    {
        if (tensors.Remove(name, out var before))
        {
            before.Dispose();
        }

        tensors.Add(name, tensor.DetachFromDisposeScope());
    }

    /// <summary>Returns a value indicating whether there is a tensor of a name.</summary>
    protected bool Has(string name) => tensors.ContainsKey(name);

    /// <summary>Copies latents to the host.</summary>
    protected static Tensor Copy(Tensor latents) => latents.to(ScalarType.Float32, CPU, copy: true);
}
