using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>The copies between host and device that a step makes. All of them are made here, so that a test can count them: on a GPU each
/// one that is waited for holds up the work that follows.</summary>
internal static class DeviceTransfer
{
    [ThreadStatic]
    private static int sent;

    [ThreadStatic]
    private static int fetched;

    /// <summary>Gets how often this thread has copied to a device.</summary>
    public static int Sent => sent;

    /// <summary>Gets how often this thread has copied from a device, and waited for it.</summary>
    public static int Fetched => fetched;

    /// <summary>Copies to a device without waiting for it.</summary>
    /// <param name="host">A tensor on the host.</param>
    /// <param name="device">The device.</param>
    /// <returns>The copy, in the caller's dispose scope.</returns>
    public static Tensor Send(Tensor host, Device device)
    {
        sent++;
        if (device.type != DeviceType.CUDA || host.device_type != DeviceType.CPU)
        {
            return host.to(device);
        }

        // Only from pinned memory does a copy run by itself.
        using var pinned = host.pin_memory();
        return pinned.to(device, non_blocking: true);
    }

    /// <summary>Copies to the host: waits until the device has computed the tensor.</summary>
    /// <param name="tensor">A tensor on any device.</param>
    /// <returns>The copy, in the caller's dispose scope.</returns>
    public static Tensor Fetch(Tensor tensor)
    {
        fetched++;
        return tensor.cpu();
    }
}
