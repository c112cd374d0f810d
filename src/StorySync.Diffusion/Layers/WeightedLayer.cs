using StorySync.Diffusion.Weights;
using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>A layer with a weight, whose values may be elsewhere than in the parameter, and perhaps a bias.</summary>
internal abstract class WeightedLayer : nn.Module<Tensor, Tensor>, IWeightOwner
{
    public readonly Parameter weight;
    public readonly Parameter? bias;

    /// <param name="name">The layer's name.</param>
    /// <param name="outputs">Length of the bias; null for none.</param>
    /// <param name="canDefer">Whether the layer reads its weight through <see cref="Storage"/> alone.</param>
    /// <param name="shape">Shape of the weight.</param>
    protected WeightedLayer(string name, long? outputs, bool canDefer, params long[] shape)
        : base(name)
    {
        weight = Parameters.Declare(shape);
        bias = outputs is { } length ? Parameters.Declare(length) : null;
        Storage = new WeightStorage(() => weight, canDefer, shape);
    }

    /// <inheritdoc/>
    public WeightStorage Storage { get; }

    /// <summary>Gets the type in which the layer computes.</summary>
    public ScalarType Dtype => Storage.Dtype;

    /// <summary>Gets the bytes that the weight takes less than in float32 when the layer computes on the CPU: kernels that read halves keep
    /// them, and blocks stay as they are stored.</summary>
    public long SavedBytes => Storage.BlockBytes > 0 ? (Storage.Count * sizeof(float)) - Storage.BlockBytes
        : ReadsHalves && Storage.IsDeferred ? Storage.Count * (sizeof(float) / 2) : 0;

    /// <summary>Gets the same where weights are rounded to 8 bits when they are loaded: what is stored in as few bits stays as it
    /// is.</summary>
    public long SavedBytesRounded => Storage.CanDefer && weight.shape.Length > 1
        ? Math.Max(SavedBytes, ((sizeof(float) - sizeof(sbyte)) * Storage.Count) - (sizeof(float) * weight.shape[0])) : SavedBytes;

    /// <summary>Gets a value indicating whether the layer's kernel reads weights in half precision.</summary>
    protected virtual bool ReadsHalves => false;

    protected override nn.Module _to(Device device, ScalarType dtype, bool non_blocking)
    {
        Storage.Materialize();
        return base._to(device, dtype, non_blocking);
    }

    protected override nn.Module _to(DeviceType deviceType, int deviceIndex, bool non_blocking)
    {
        Storage.Materialize();
        return base._to(deviceType, deviceIndex, non_blocking);
    }

    protected override nn.Module _to(ScalarType dtype, bool non_blocking)
    {
        Storage.Materialize();
        return base._to(dtype, non_blocking);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Storage.Clear();
        }

        base.Dispose(disposing);
    }
}
