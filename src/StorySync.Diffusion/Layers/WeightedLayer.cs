using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>A layer that multiplies with a weight and adds a bias; how the weight lies in memory is the layer's own affair (see
/// <see cref="DerivedWeights"/>).</summary>
internal abstract class WeightedLayer : nn.Module<Tensor, Tensor>
{
    public readonly Parameter weight;
    public readonly Parameter? bias;

    /// <param name="name">The layer's name.</param>
    /// <param name="outputs">Length of the bias; null for none.</param>
    /// <param name="shape">Shape of the weight.</param>
    protected WeightedLayer(string name, long? outputs, params long[] shape)
        : base(name)
    {
        weight = Parameters.Declare(shape);
        bias = outputs is { } length ? Parameters.Declare(length) : null;
        DerivedWeights.Serve(weight);
    }

    /// <summary>The bytes that the layer's weight takes less than in float32 when the layer computes on the CPU: those whose kernels read halves
    /// keep them.</summary>
    public long SavedBytes => ReadsHalves && DerivedWeights.IsStored(weight) ? weight.numel() * (sizeof(float) / 2) : 0;

    /// <summary>Whether the layer's kernel reads weights in half precision.</summary>
    protected virtual bool ReadsHalves => false;

    protected override nn.Module _to(Device device, ScalarType dtype, bool non_blocking)
    {
        DerivedWeights.Restore(weight);
        return base._to(device, dtype, non_blocking);
    }

    protected override nn.Module _to(DeviceType deviceType, int deviceIndex, bool non_blocking)
    {
        DerivedWeights.Restore(weight);
        return base._to(deviceType, deviceIndex, non_blocking);
    }

    protected override nn.Module _to(ScalarType dtype, bool non_blocking)
    {
        DerivedWeights.Restore(weight);
        return base._to(dtype, non_blocking);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            DerivedWeights.Forget(weight);
        }

        base.Dispose(disposing);
    }
}
