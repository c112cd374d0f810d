using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Two linear layers around an activation, from a sinusoidal embedding (or another condition) to the width that the blocks
/// take (diffusers' <c>TimestepEmbedding</c>).</summary>
internal sealed class TimestepEmbedding : ScopedModule<Tensor, Tensor>
{
    private readonly Linear linear_1;
    private readonly Linear linear_2;
    private readonly Func<Tensor, Tensor> activation;

    public TimestepEmbedding(long inChannels, long width, string activation = "silu")
        : base(nameof(TimestepEmbedding))
    {
        linear_1 = new Linear(inChannels, width);
        linear_2 = new Linear(width, width);
        this.activation = Activation.ByName(activation);
        RegisterComponents();
    }

    protected override Tensor Compute(Tensor sample)
    {
        return linear_2.call(activation(linear_1.call(sample)));
    }
}
