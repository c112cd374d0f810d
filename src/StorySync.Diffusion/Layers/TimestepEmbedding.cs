using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Two linear layers around an activation, from a sinusoidal embedding (or another condition) to the width that the blocks
/// take (diffusers' <c>TimestepEmbedding</c>).</summary>
internal sealed class TimestepEmbedding : ScopedModule<Tensor, Tensor?, Tensor>
{
    private readonly Linear? cond_proj;
    private readonly Linear linear_1;
    private readonly Linear linear_2;
    private readonly Func<Tensor, Tensor> activation;

    /// <param name="inChannels">The width of the embedding.</param>
    /// <param name="width">The width of the result.</param>
    /// <param name="activation">The activation between the layers.</param>
    /// <param name="conditionChannels">The width of a condition that is added to the embedding; null for none.</param>
    public TimestepEmbedding(long inChannels, long width, string activation = "silu", long? conditionChannels = null)
        : base(nameof(TimestepEmbedding))
    {
        cond_proj = conditionChannels is { } channels ? new Linear(channels, inChannels, bias: false) : null;
        linear_1 = new Linear(inChannels, width);
        linear_2 = new Linear(width, width);
        this.activation = Activation.ByName(activation);
        RegisterComponents();
    }

    public Tensor call(Tensor sample) => call(sample, null);

    protected override Tensor Compute(Tensor sample, Tensor? condition)
    {
        var embedding = condition is null || cond_proj is null ? sample : sample.Plus(cond_proj.call(condition));
        return linear_2.call(activation(linear_1.call(embedding)));
    }
}
