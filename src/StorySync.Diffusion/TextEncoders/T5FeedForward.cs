using StorySync.Diffusion.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.TextEncoders;

/// <summary>The feed-forward layer of the first T5 (transformers' <c>T5DenseActDense</c>).</summary>
internal sealed class T5DenseActDense : ScopedModule<Tensor, Tensor>
{
    private readonly Linear wi;
    private readonly Linear wo;
    private readonly Func<Tensor, Tensor> activation;

    public T5DenseActDense(T5Config config)
        : base(nameof(T5DenseActDense))
    {
        activation = Activation.ByName(config.ActivationName);
        wi = new Linear(config.DModel, config.DFf, bias: false);
        wo = new Linear(config.DFf, config.DModel, bias: false);
        RegisterComponents();
    }

    protected override Tensor Compute(Tensor hidden)
    {
        return wo.call(activation(wi.call(hidden)).to(wo.Dtype));
    }
}

/// <summary>The gated feed-forward layer of T5 1.1 and later: <c>wo(act(wi_0 x) · wi_1 x)</c> (transformers'
/// <c>T5DenseGatedActDense</c>).</summary>
internal sealed class T5DenseGatedActDense : ScopedModule<Tensor, Tensor>
{
    private readonly Linear wi_0;
    private readonly Linear wi_1;
    private readonly Linear wo;
    private readonly Func<Tensor, Tensor> activation;

    public T5DenseGatedActDense(T5Config config)
        : base(nameof(T5DenseGatedActDense))
    {
        activation = Activation.ByName(config.ActivationName);
        wi_0 = new Linear(config.DModel, config.DFf, bias: false);
        wi_1 = new Linear(config.DModel, config.DFf, bias: false);
        wo = new Linear(config.DFf, config.DModel, bias: false);
        RegisterComponents();
    }

    protected override Tensor Compute(Tensor hidden)
    {
        var gated = activation(wi_0.call(hidden)).mul_(wi_1.call(hidden));
        return wo.call(gated.to(wo.Dtype));
    }
}
