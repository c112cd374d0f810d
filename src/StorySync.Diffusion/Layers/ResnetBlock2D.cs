using StorySync.Kernels;
using TorchSharp;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Norm, activation and convolution, twice, and a shortcut; the time embedding enters at the second norm (diffusers'
/// <c>ResnetBlock2D</c>).</summary>
internal sealed class ResnetBlock2D : ScopedModule<Tensor, Tensor?, Tensor>
{
    private readonly GroupNorm norm1;
    private readonly Conv2d conv1;
    private readonly Linear? time_emb_proj;
    private readonly GroupNorm norm2;
    private readonly Conv2d conv2;
    private readonly Conv2d? conv_shortcut;
    private readonly Func<Tensor, Tensor> activation;
    private readonly bool scaleAndShift;
    private readonly double outputScale;

    /// <param name="inChannels">Channels of the input.</param>
    /// <param name="outChannels">Channels of the output.</param>
    /// <param name="settings">What a model's resnets have in common.</param>
    public ResnetBlock2D(long inChannels, long outChannels, ResnetSettings settings)
        : base(nameof(ResnetBlock2D))
    {
        (InChannels, OutChannels) = (inChannels, outChannels);
        norm1 = new GroupNorm(settings.Groups, inChannels, settings.Epsilon);
        conv1 = new Conv2d(inChannels, outChannels, kernel: 3, padding: 1);
        scaleAndShift = settings.ScaleAndShift;
        time_emb_proj = settings.TimeEmbeddingWidth is { } width ? new Linear(width, scaleAndShift ? 2 * outChannels : outChannels) : null;
        norm2 = new GroupNorm(settings.Groups, outChannels, settings.Epsilon);
        conv2 = new Conv2d(outChannels, outChannels, kernel: 3, padding: 1);
        conv_shortcut = inChannels == outChannels ? null : new Conv2d(inChannels, outChannels, kernel: 1);
        activation = Activation.ByName(settings.Activation);
        outputScale = settings.OutputScale;
        RegisterComponents();
    }

    public long InChannels { get; }

    public long OutChannels { get; }

    /// <summary>Gets the most elements that a pass makes for each pixel.</summary>
    public long PeakElements => PeakElementsOf(InChannels, OutChannels);

    /// <summary>Returns the most elements that a pass makes for each pixel: the first norm and what the convolution after it gives, or the
    /// second norm with its input and its convolution's output.</summary>
    public static long PeakElementsOf(long inChannels, long outChannels) => Math.Max(inChannels + outChannels, 3 * outChannels);

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="temb">The time embedding, (batch, width); null where the model has none.</param>
    protected override Tensor Compute(Tensor input, Tensor? temb)
    {
        var time = temb is null ? null : time_emb_proj?.call(activation(temb));
        var hidden = Fused.GroupNorm(norm1, input, activation);
        hidden = conv1.call(hidden).Freeing(hidden);
        hidden = (scaleAndShift && time is not null ? Modulate(hidden, time) : Fused.GroupNorm(norm2, hidden, activation, shift: time))
            .Freeing(hidden);
        hidden = conv2.call(hidden).Freeing(hidden);
        hidden = hidden.Plus_(conv_shortcut?.call(input) ?? input);
        return outputScale == 1 ? hidden : hidden.Over_(outputScale);
    }

    private Tensor Modulate(Tensor hidden, Tensor time) => Scoped(() =>
    {
        var parts = time.unsqueeze(-1).unsqueeze(-1).chunk(2, dim: 1);
        return activation(norm2.call(hidden).mul_(parts[0].Plus(1)).Plus_(parts[1]));
    });
}

/// <summary>What the resnets of a model have in common.</summary>
/// <param name="Groups">Groups of the norms.</param>
/// <param name="Epsilon">Epsilon of the norms.</param>
/// <param name="TimeEmbeddingWidth">The width of the time embedding; null in autoencoders, which have none.</param>
/// <param name="Activation">The activation's name.</param>
/// <param name="ScaleAndShift">Whether the time embedding scales and shifts the second norm's output (<c>resnet_time_scale_shift</c>
/// "scale_shift") or is added before it ("default").</param>
/// <param name="OutputScale">The sum of both paths is divided by it.</param>
internal sealed record ResnetSettings(
    long Groups,
    double Epsilon,
    long? TimeEmbeddingWidth = null,
    string Activation = "silu",
    bool ScaleAndShift = false,
    double OutputScale = 1);
