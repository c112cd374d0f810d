using TorchSharp;

namespace StorySync.Diffusion.Weights;

/// <summary>Where the parts of a model are: on the device for good, or only while they work (diffusers'
/// <c>enable_model_cpu_offload</c>).</summary>
internal sealed class ModelOffload
{
    private readonly Dictionary<torch.nn.Module, BlockStreaming> streams = [];

    /// <param name="offload">Whether the parts come and go.</param>
    /// <param name="device">Where they work.</param>
    /// <param name="parts">The parts; with offloading they are on the CPU now.</param>
    public ModelOffload(bool offload, torch.Device device, params torch.nn.Module[] parts)
    {
        if (offload)
        {
            streams = parts.ToDictionary(part => part, part => new BlockStreaming(part, [part], device, dtype: null));
        }
    }

    /// <summary>Has a part on the device until the result is disposed. Then the pages of a mapped file whose blocks the part has decoded
    /// are given back, so that those of the parts are not in memory together.</summary>
    public IDisposable Acquire(torch.nn.Module part) => streams.TryGetValue(part, out var stream) ? stream.Load(part) : new Pages(part);

    private sealed class Pages(torch.nn.Module part) : IDisposable
    {
        public void Dispose()
        {
            foreach (var owner in part.modules().OfType<IWeightOwner>().Where(owner => owner.Storage.MappedBlockBytes > 0))
            {
                owner.Storage.ReleasePages();
            }
        }
    }
}
