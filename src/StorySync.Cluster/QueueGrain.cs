using Microsoft.Extensions.Options;
using Orleans.Concurrency;
using Orleans.Runtime;
using StorySync.Extensions;

namespace StorySync.Cluster;

/// <inheritdoc cref="IQueueGrain"/>
/// <remarks>It stores which stories have something to draw, and nothing else: after a restart those are asked for their jobs, and workers
/// that are at one say so. A worker that is not heard of loses its job to the next.</remarks>
[Reentrant]
internal sealed class QueueGrain(
    [PersistentState("queue", StorySyncClusterOptions.StorageName)] IPersistentState<QueueRecord> state,
    IOptions<StorySyncClusterOptions> options) : Grain, IQueueGrain
{
    /// <summary>How many jobs of a story a worker takes in a turn, for one reading of its bank.</summary>
    private const int JobsOfTurn = 4;

    private readonly Dictionary<string, Waiting> stories = [];
    private readonly LinkedList<string> turns = [];
    private readonly Dictionary<string, (string Story, int Left)> lastTurns = [];
    private readonly Dictionary<QueuedJob, Lease> leases = [];
    private readonly LinkedList<Idle> idle = [];
    private double? secondsPerScene;

    private TimeSpan Patience => options.Value.WorkerTimeout / 3;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        foreach (var story in state.State.Stories)
        {
            stories.Add(story, new());
        }

        this.RegisterGrainTimer(CheckAsync, new GrainTimerCreationOptions(TimeSpan.Zero, Patience / 2) { Interleave = true });
        return Task.CompletedTask;
    }

    public async Task AddAsync(string story, int[] jobs, int scenes, bool isAsked)
    {
        var waiting = stories.GetValueOrDefault(story);
        var others = stories.Values.Sum(other => other.Scenes) - (waiting?.Scenes ?? 0);
        if (isAsked && others + scenes > options.Value.MaxQueuedScenes)
        {
            throw new QueueFullException(
                $"{others} scenes wait for a worker, and these would make {others + scenes}; the limit is "
                + $"{options.Value.MaxQueuedScenes} ({nameof(StorySyncClusterOptions)}.{nameof(StorySyncClusterOptions.MaxQueuedScenes)}). "
                + "Try again later.");
        }

        if (waiting is null)
        {
            stories.Add(story, waiting = new());
            await SaveAsync();
        }

        waiting.Scenes = scenes;
        foreach (var job in jobs)
        {
            if (!waiting.Jobs.Contains(job) && !leases.ContainsKey(new() { Story = story, Number = job }))
            {
                waiting.Jobs.AddLast(job);
            }
        }

        Serve(story, waiting);
    }

    public async Task RemoveAsync(string story)
    {
        foreach (var job in leases.Keys.Where(job => job.Story == story).ToArray())
        {
            leases.Remove(job, out var lease);
            lease!.Canceled.TrySetResult();
        }

        turns.Remove(story);
        if (stories.Remove(story))
        {
            await SaveAsync();
        }
    }

    public async Task<QueuedJob?> TakeAsync(string worker, CancellationToken cancellationToken)
    {
        if (Next(worker) is { } job)
        {
            return job;
        }

        var asking = new Idle(worker);
        idle.AddLast(asking);
        try
        {
            return await asking.Job.Task.WaitAsync(Patience, cancellationToken);
        }
        catch (Exception exception) when (exception is TimeoutException or OperationCanceledException)
        {
            return asking.Job.Task.IsCompleted ? await asking.Job.Task : null;
        }
        finally
        {
            idle.Remove(asking);
        }
    }

    public async Task<bool> RenewAsync(string worker, QueuedJob job, CancellationToken cancellationToken)
    {
        if (!leases.TryGetValue(job, out var lease))
        {
            // This activation is younger than the worker's job.
            stories.GetValueOrDefault(job.Story)?.Jobs.Remove(job.Number);
            leases.Add(job, lease = new Lease(worker));
        }

        if (lease.Worker != worker)
        {
            return false;
        }

        lease.Heard = Environment.TickCount64;
        try
        {
            await lease.Canceled.Task.WaitAsync(Patience, cancellationToken);
            return false;
        }
        catch (TimeoutException)
        {
            return true;
        }
    }

    public Task ReleaseAsync(string worker, QueuedJob job, bool isAgain, double? secondsPerScene)
    {
        if (secondsPerScene is { } seconds)
        {
            this.secondsPerScene += (seconds - this.secondsPerScene) / 8;
            this.secondsPerScene ??= seconds;
        }

        if (leases.TryGetValue(job, out var lease) && lease.Worker == worker)
        {
            Release(job, isAgain);
        }

        return Task.CompletedTask;
    }

    public Task<(int? Position, double? Seconds)> PlaceOfAsync(string story)
    {
        if (!stories.TryGetValue(story, out var own))
        {
            return Task.FromResult<(int?, double?)>((null, null));
        }

        // Until a story's last scene every other one has as many turns.
        var scenes = stories.Values.Sum(other => Math.Min(other.Scenes, own.Scenes));
        var workers = leases.Values.Select(lease => lease.Worker).Concat(idle.Select(asking => asking.Worker)).Distinct().Count();
        var position = own.Jobs.Count == 0 ? default(int?) : turns.TakeWhile(other => other != story).Count();
        return Task.FromResult((position, secondsPerScene * scenes / Math.Max(workers, 1)));
    }

    /// <summary>Gives jobs of lost workers to others, and asks stories that have nothing here what they have to draw.</summary>
    private async Task CheckAsync(CancellationToken cancellationToken)
    {
        var latest = Environment.TickCount64 - (long)options.Value.WorkerTimeout.TotalMilliseconds;
        foreach (var (job, lease) in leases.Where(entry => entry.Value.Heard < latest).ToArray())
        {
            lease.Canceled.TrySetResult();
            lastTurns.Remove(lease.Worker);
            Release(job, isAgain: true);
        }

        foreach (var (story, waiting) in stories.ToArray())
        {
            if (waiting.Jobs.Count == 0 && leases.Keys.All(job => job.Story != story))
            {
                await GrainFactory.GetGrain<IStoryGrain>(story).ResumeAsync();
            }
        }
    }

    private void Release(QueuedJob job, bool isAgain)
    {
        leases.Remove(job);
        if (isAgain && stories.TryGetValue(job.Story, out var waiting) && !waiting.Jobs.Contains(job.Number))
        {
            waiting.Jobs.AddFirst(job.Number);
            Serve(job.Story, waiting);
        }
    }

    /// <summary>Gives a story its turns, and jobs to the workers that wait.</summary>
    private void Serve(string story, Waiting waiting)
    {
        if (waiting.Jobs.Count > 0 && !turns.Contains(story))
        {
            turns.AddLast(story);
        }

        while (idle.First is { } first && turns.Count > 0)
        {
            idle.RemoveFirst();
            first.Value.Job.TrySetResult(Next(first.Value.Worker));
        }
    }

    /// <summary>Gives a worker the next job of the story that it is at, or of the one whose turn it is.</summary>
    private QueuedJob? Next(string worker)
    {
        if (turns.First is null)
        {
            return null;
        }

        var (story, left) = lastTurns.GetValueOrDefault(worker);
        if (left == 0 || !turns.Contains(story))
        {
            (story, left) = (turns.First.Value, JobsOfTurn);
            turns.RemoveFirst();
            turns.AddLast(story);
        }

        lastTurns[worker] = (story, left - 1);
        var jobs = stories[story].Jobs;
        var job = new QueuedJob { Story = story, Number = jobs.First!.Value };
        jobs.RemoveFirst();
        if (jobs.Count == 0)
        {
            turns.Remove(story);
        }

        leases[job] = new Lease(worker);
        return job;
    }

    private async Task SaveAsync()
    {
        try
        {
            state.State.Stories = [.. stories.Keys];
            await state.WriteStateAsync();
        }
        catch
        {
            // What is in memory is not what is stored: the next activation reads that.
            DeactivateOnIdle();
            throw;
        }
    }

    private sealed class Waiting
    {
        public LinkedList<int> Jobs { get; } = [];

        public int Scenes { get; set; }
    }

    private sealed class Lease(string worker)
    {
        public string Worker { get; } = worker;

        public long Heard { get; set; } = Environment.TickCount64;

        public TaskCompletionSource Canceled { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    private sealed class Idle(string worker)
    {
        public string Worker { get; } = worker;

        public TaskCompletionSource<QueuedJob?> Job { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
