using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Diagnostics.Metrics;
using TorchSharp;

namespace StorySync.Extensions;

/// <summary>The queues of an application, one for each device, whatever models are there.</summary>
internal sealed class DeviceQueues
{
    private readonly ConcurrentDictionary<string, DeviceQueue> queues = new();

    public DeviceQueue Of(torch.Device device) => queues.GetOrAdd(device.ToString(), name => new DeviceQueue(name));
}

/// <summary>Lets one generation at a time have a device, in the order of their arrival: two at a time would each take twice as long, and
/// twice the memory together.</summary>
/// <param name="device">The device's name.</param>
[SuppressMessage(
    "Design", "CA1001", Justification = "Who waits when the application ends comes to its turn, and finds the model disposed.")]
internal sealed class DeviceQueue(string device)
{
    private static readonly UpDownCounter<int> Length = new Meter("StorySync").CreateUpDownCounter<int>(
        "storysync.queue.length", "{request}", "Requests that wait for a device.");

    private readonly SemaphoreSlim turn = new(1, 1);
    private int waiting;

    /// <summary>Gets the number of requests that wait.</summary>
    public int Waiting => Volatile.Read(ref waiting);

    /// <summary>Waits for the device; dispose the result to let the next one have it.</summary>
    /// <param name="maxWaiting">The largest number of requests that wait, with this one.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests while it waits.</param>
    /// <exception cref="QueueFullException">So many wait already.</exception>
    /// <exception cref="OperationCanceledException">It was canceled while it waited.</exception>
    public async Task<IDisposable> EnterAsync(int maxWaiting, CancellationToken cancellationToken)
    {
        if (!turn.Wait(0, cancellationToken))
        {
            Add(1);
            try
            {
                if (Waiting > maxWaiting)
                {
                    throw new QueueFullException(
                        $"{maxWaiting} requests wait for {device} already, which is the limit ({nameof(StorySyncModelOptions)}."
                        + $"{nameof(StorySyncModelOptions.MaxWaiting)}); try again later.");
                }

                await turn.WaitAsync(cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                Add(-1);
            }
        }

        return new Turn(turn);
    }

    private void Add(int requests)
    {
        Interlocked.Add(ref waiting, requests);
        Length.Add(requests, new KeyValuePair<string, object?>("storysync.device", device));
    }

    private sealed class Turn(SemaphoreSlim turn) : IDisposable
    {
        private SemaphoreSlim? turn = turn;

        public void Dispose() => Interlocked.Exchange(ref turn, null)?.Release();
    }
}
