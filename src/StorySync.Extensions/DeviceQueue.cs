using System.Collections.Concurrent;
using System.Diagnostics;
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

    /// <summary>How much the last turn counts in the usual one: requests differ, and what is asked for changes in an hour.</summary>
    private const double Newest = 0.3;

    private readonly SemaphoreSlim turn = new(1, 1);
    private readonly Lock monitor = new();
    private TimeSpan? usual;
    private long? begun;
    private int waiting;

    /// <summary>Gets the number of requests that wait.</summary>
    public int Waiting => Volatile.Read(ref waiting);

    /// <summary>Gets the number of requests that have the device or wait for it.</summary>
    public int Count
    {
        get
        {
            lock (monitor)
            {
                return Waiting + (begun is null ? 0 : 1);
            }
        }
    }

    /// <summary>Gets how long a request that arrived now would wait, judged by those before it; null while the
    /// first one runs.</summary>
    public TimeSpan? EstimatedWait
    {
        get
        {
            lock (monitor)
            {
                if (begun is not { } since || usual is not { } each)
                {
                    return begun is null ? TimeSpan.Zero : null;
                }

                var left = each - Stopwatch.GetElapsedTime(since);
                return (Waiting * each) + (left > TimeSpan.Zero ? left : TimeSpan.Zero);
            }
        }
    }

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

        lock (monitor)
        {
            begun = Stopwatch.GetTimestamp();
        }

        return new Turn(this);
    }

    private void Leave()
    {
        lock (monitor)
        {
            var took = Stopwatch.GetElapsedTime(begun!.Value);
            usual = usual is { } before ? ((1 - Newest) * before) + (Newest * took) : took;
            begun = null;
        }

        turn.Release();
    }

    private void Add(int requests)
    {
        Interlocked.Add(ref waiting, requests);
        Length.Add(requests, new KeyValuePair<string, object?>("storysync.device", device));
    }

    private sealed class Turn(DeviceQueue queue) : IDisposable
    {
        private DeviceQueue? queue = queue;

        public void Dispose() => Interlocked.Exchange(ref queue, null)?.Leave();
    }
}
