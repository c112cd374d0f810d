namespace StorySync.Benchmarks.Scale;

/// <summary>What a simulated cluster is made of. Times are in seconds.</summary>
internal sealed record QueueSetting
{
    public required int Workers { get; init; }

    /// <summary>Gets the number of stories that are there at a time; one that ends is followed by another.</summary>
    public required int Stories { get; init; }

    public required int Scenes { get; init; }

    public required int Anchors { get; init; }

    /// <summary>Gets the time of a scene, give or take a tenth.</summary>
    public required double SceneSeconds { get; init; }

    /// <summary>Gets the time of a story's anchors together, give or take a tenth.</summary>
    public required double AnchorsSeconds { get; init; }

    public required double BankBytes { get; init; }

    /// <summary>Gets how fast all workers together read the shared folder.</summary>
    public required double BytesPerSecond { get; init; }

    /// <summary>Gets the time that the queue's grain takes for a call; it takes one after the other.</summary>
    public required double CallSeconds { get; init; }

    /// <summary>Gets how many jobs of a story a worker takes before the next story has its turn.</summary>
    public required int JobsOfTurn { get; init; }

    /// <summary>Gets how many banks a worker keeps.</summary>
    public required int Banks { get; init; }

    /// <summary>Gets how long it is watched, after a third of that in which it fills.</summary>
    public required double Seconds { get; init; }

    public required int Seed { get; init; }
}

/// <summary>What a simulated cluster did. Shares are of the time watched.</summary>
/// <param name="ScenesPerSecond">The scenes that it drew.</param>
/// <param name="Utilization">The share of the workers' time in which they drew.</param>
/// <param name="BankBytesPerSecond">What was read of banks.</param>
/// <param name="FolderBusy">The share in which the folder was read.</param>
/// <param name="QueueBusy">The share in which the queue's grain was at work.</param>
internal sealed record QueueOutcome(
    double ScenesPerSecond, double Utilization, double BankBytesPerSecond, double FolderBusy, double QueueBusy)
{
    private const double Full = 0.95;

    public string Bottleneck => FolderBusy >= Full ? "shared folder" : QueueBusy >= Full ? "queue" : "workers";
}

/// <summary>The queue of StorySync.Cluster with workers, a shared folder and time that are simulated: stories take turns, anchors come
/// first, and a worker reads a bank that it does not keep.</summary>
internal sealed class QueueSimulation
{
    /// <summary>The calls of a job: for the next one, for what the story has left, and for the end.</summary>
    private const int CallsOfJob = 3;

    private const double RenewalSeconds = 5;

    private readonly QueueSetting setting;
    private readonly Random random;
    private readonly PriorityQueue<Worker, (double Time, int Worker)> events = new();
    private readonly LinkedList<Story> turns = [];
    private readonly Queue<Worker> idle = [];
    private readonly double callSeconds;
    private double folderFree;
    private double queueFree;
    private double drawn;
    private double read;
    private double called;
    private int scenes;

    private QueueSimulation(QueueSetting setting)
    {
        this.setting = setting;
        random = new Random(setting.Seed);

        // Workers say every few seconds that they are at their job; the calls of jobs have what that leaves.
        callSeconds = setting.CallSeconds / Math.Max(1 - (setting.Workers / RenewalSeconds * setting.CallSeconds), 0.01);
    }

    public static QueueOutcome Run(QueueSetting setting) => new QueueSimulation(setting).Run();

    private QueueOutcome Run()
    {
        var begin = setting.Seconds / 3;
        var end = begin + setting.Seconds;
        for (var i = 0; i < setting.Stories; i++)
        {
            // They do not begin together: each is somewhere in its scenes.
            turns.AddLast(new Story { Left = setting.Scenes - setting.Anchors, HasBank = i % setting.Scenes != 0, Waiting = 1 });
        }

        foreach (var story in turns.Where(story => story.HasBank))
        {
            story.Left = story.Waiting = random.Next(1, setting.Scenes - setting.Anchors + 1);
        }

        for (var i = 0; i < setting.Workers; i++)
        {
            Begin(new Worker { Number = i }, 0, begin, end);
        }

        while (events.TryDequeue(out var worker, out var at) && at.Time < end)
        {
            Finish(worker);
            Begin(worker, at.Time, begin, end);
            while (turns.Count > 0 && idle.TryDequeue(out var other))
            {
                Begin(other, at.Time, begin, end);
            }
        }

        return new QueueOutcome(
            scenes / setting.Seconds,
            drawn / setting.Seconds / setting.Workers,
            read * setting.BankBytes / setting.Seconds,
            Math.Min(read * setting.BankBytes / setting.BytesPerSecond / setting.Seconds, 1),
            Math.Min((called / setting.Seconds) + (setting.Workers / RenewalSeconds * setting.CallSeconds), 1));
    }

    private void Begin(Worker worker, double now, double begin, double end)
    {
        if (turns.First is null)
        {
            idle.Enqueue(worker);
            return;
        }

        if (worker.Turn == 0 || worker.Story is not { Waiting: > 0 })
        {
            worker.Turn = setting.JobsOfTurn;
            worker.Story = turns.First.Value;
            turns.RemoveFirst();
            turns.AddLast(worker.Story);
        }

        var story = worker.Story;
        worker.Turn--;
        if (--story.Waiting == 0)
        {
            turns.Remove(story);
        }

        queueFree = Math.Max(queueFree, now) + (CallsOfJob * callSeconds);
        var time = queueFree;
        called += Within(time - (CallsOfJob * setting.CallSeconds), time);
        if (story.HasBank && !worker.Banks.Remove(story))
        {
            var seconds = setting.BankBytes / setting.BytesPerSecond;
            folderFree = Math.Max(folderFree, time) + seconds;
            read += seconds == 0 ? 0 : Within(folderFree - seconds, folderFree) / seconds;
            time = folderFree;
            if (worker.Banks.Count == setting.Banks)
            {
                worker.Banks.RemoveLast();
            }
        }

        worker.Banks.AddFirst(story);
        var work = (story.HasBank ? setting.SceneSeconds : setting.AnchorsSeconds) * (0.9 + (0.2 * random.NextDouble()));
        drawn += Within(time, time + work);
        scenes += time + work >= begin && time + work < end ? story.HasBank ? 1 : setting.Anchors : 0;
        events.Enqueue(worker, (time + work, worker.Number));

        double Within(double from, double to) => Math.Max(Math.Min(to, end) - Math.Max(from, begin), 0);
    }

    private void Finish(Worker worker)
    {
        var story = worker.Story!;
        if (!story.HasBank)
        {
            (story.HasBank, story.Waiting) = (true, story.Left);
            turns.AddLast(story);
        }
        else if (--story.Left == 0)
        {
            turns.AddLast(new Story { Left = setting.Scenes - setting.Anchors, Waiting = 1 });
        }
    }

    private sealed class Story
    {
        public bool HasBank { get; set; }

        /// <summary>Gets or sets the scenes that are not drawn, without the anchors.</summary>
        public int Left { get; set; }

        /// <summary>Gets or sets the jobs that no worker has.</summary>
        public int Waiting { get; set; }
    }

    private sealed class Worker
    {
        public required int Number { get; init; }

        public Story? Story { get; set; }

        public int Turn { get; set; }

        public LinkedList<Story> Banks { get; } = [];
    }
}
