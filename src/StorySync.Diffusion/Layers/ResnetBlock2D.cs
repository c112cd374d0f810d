using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Norm, activation, convolution, twice, beside a shortcut; between the two the time embedding comes in (diffusers'
/// <c>ResnetBlock2D</c>).</summary>
internal sealed class ResnetBlock2D : nn.Module<Tensor, Tensor?, Tensor>
{
    private readonly GroupNorm norm1;
    private readonly Conv2d conv1;
    private readonly Linear? time_emb_proj;
    private readonly GroupNorm norm2;
    private readonly Conv2d conv2;
    private readonly Conv2d? conv_shortcut;
    private readonly Func<Tensor, Tensor> activate;
    private readonly bool silu;
    private readonly bool scaleAndShift;
    private readonly double outputScale;

    /// <param name="inChannels">Channels of the input.</param>
    /// <param name="outChannels">Channels of the output.</param>
    /// <param name="settings">What a model's resnets have in common.</param>
    public ResnetBlock2D(long inChannels, long outChannels, ResnetSettings settings)
        : base(nameof(ResnetBlock2D))
    {
        norm1 = new GroupNorm(settings.Groups, inChannels, settings.Epsilon);
        conv1 = new Conv2d(inChannels, outChannels, kernel: 3, padding: 1);
        scaleAndShift = settings.ScaleAndShift;
        time_emb_proj = settings.TimeEmbeddingWidth is { } width ? new Linear(width, scaleAndShift ? 2 * outChannels : outChannels) : null;
        norm2 = new GroupNorm(settings.Groups, outChannels, settings.Epsilon);
        conv2 = new Conv2d(outChannels, outChannels, kernel: 3, padding: 1);
        conv_shortcut = inChannels == outChannels ? null : new Conv2d(inChannels, outChannels, kernel: 1);
        activate = Activation.ConsumingByName(settings.Activation);
        silu = settings.Activation is "silu" or "swish";
        outputScale = settings.OutputScale;
        RegisterComponents();
    }

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="temb">The time embedding, (batch, width); null where the model has none.</param>
    public override Tensor forward(Tensor input, Tensor? temb)
    {
        using var scope = NewDisposeScope();
        var hidden = Activated(norm1, input).Into(conv1);
        var time = time_emb_proj is null || temb is null ? null : activate(temb.clone()).Into(time_emb_proj);
        using (var summed = hidden)
        {
            hidden = Second(summed, time);
        }

        hidden = hidden.Into(conv2);
        hidden = hidden.add_(conv_shortcut?.call(input) ?? input);
        return (outputScale == 1 ? hidden : hidden.div_(outputScale)).MoveToOuterDisposeScope();
    }

    /// <summary>The second norm, with the time embedding, and the activation.</summary>
    private Tensor Second(Tensor hidden, Tensor? time)
    {
        if (time is null || !scaleAndShift)
        {
            return Activated(norm2, hidden, time);
        }

        using var scope = NewDisposeScope();
        var parts = time.unsqueeze(-1).unsqueeze(-1).chunk(2, dim: 1);
        return activate(norm2.call(hidden).mul_(1 + parts[0]).add_(parts[1])).MoveToOuterDisposeScope();
    }

    private Tensor Activated(GroupNorm norm, Tensor input, Tensor? shift = null)
    {
        if (silu)
        {
            return norm.Silu(input, shift);
        }

        using var scope = NewDisposeScope();
        var sum = shift is null ? input : input + shift.unsqueeze(-1).unsqueeze(-1);
        return activate(norm.call(sum)).MoveToOuterDisposeScope();
    }
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
