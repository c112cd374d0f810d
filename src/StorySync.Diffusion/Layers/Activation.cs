using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Activation functions by the names that configs use (diffusers' <c>get_activation</c>, transformers' <c>ACT2FN</c>).</summary>
internal static class Activation
{
    /// <summary>Gets the names that <see cref="ByName"/> knows.</summary>
    public static IReadOnlyList<string> Names { get; } =
        ["silu", "swish", "gelu", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "relu", "mish"];

    /// <summary>Gets the SiLU, which some layers compute in the same pass.</summary>
    public static Func<Tensor, Tensor> Silu { get; } = ByImage(x => nn.functional.silu(x));

    /// <exception cref="NotSupportedException">The name is not known.</exception>
    public static Func<Tensor, Tensor> ByName(string name) => name switch
    {
        "silu" or "swish" => Silu,
        "gelu" => ByImage(x => nn.functional.gelu(x)),
        "gelu_new" or "gelu_pytorch_tanh" => ByImage(x => nn.functional.gelu(x, GELU.Approximate.tanh)),
        "quick_gelu" => ByImage(QuickGelu),
        "relu" => x => nn.functional.relu(x),
        "mish" => ByImage(Mish),
        _ => throw new NotSupportedException(
            $"Activation '{name}' is not supported; known are {string.Join(", ", Names)}."),
    };

    /// <summary>Like <see cref="ByName"/>, but the result overwrites the argument.</summary>
    /// <exception cref="NotSupportedException">The name is not known.</exception>
    public static Func<Tensor, Tensor> InPlaceByName(string name)
    {
        var activation = ByName(name);
        return name switch
        {
            "silu" or "swish" => ImageByImage.SiluInPlace,
            "relu" => x => x.relu_(),
            _ => x =>
            {
                using var result = activation(x);
                return x.copy_(result);
            },
        };
    }

    private static Func<Tensor, Tensor> ByImage(Func<Tensor, Tensor> function) => x => ImageByImage.Apply(x, function);

    private static Tensor QuickGelu(Tensor x)
    {
        using var gate = x.Times(1.702).sigmoid_();
        return x * gate;
    }

    /// <summary><c>x·tanh(log(1 + eˣ))</c>. TorchSharp's own makes numbers on the way that nothing keeps alive
    /// (<see cref="Arithmetic"/>).</summary>
    private static Tensor Mish(Tensor x) => x.exp().log1p_().tanh_().mul_(x);
}

/// <summary>SiLU as a module, image by image.</summary>
internal sealed class Silu(bool inPlace) : nn.Module<Tensor, Tensor>(nameof(Silu))
{
    public override Tensor forward(Tensor x) => inPlace ? ImageByImage.SiluInPlace(x).alias() : Activation.Silu(x);
}
