using Orleans.Concurrency;

namespace StorySync.Cluster;

/// <summary>A story: its document, its bank, its takes.</summary>
internal interface IStoryGrain : IGrainWithStringKey
{
    /// <param name="document">The settled document as JSON.</param>
    /// <param name="bank">The file of a bank that is there already; null to draw one.</param>
    /// <param name="anchors">The bank's anchors as images, the story's first scenes.</param>
    Task<StoryStatus> CreateAsync(string document, string? bank, DrawnScene[] anchors);

    [AlwaysInterleave]
    Task<StoryStatus> GetAsync();

    IAsyncEnumerable<StoryUpdate> WatchAsync(CancellationToken cancellationToken = default);

    /// <param name="scenes">The scenes as JSON.</param>
    Task<StoryStatus> AddScenesAsync(string scenes);

    /// <param name="scene">The scene, from 0.</param>
    /// <param name="replacement">The scene as JSON; null for the same.</param>
    Task<StoryStatus> RedrawAsync(int scene, string? replacement);

    Task DeleteAsync();

    /// <summary>Returns the file of an image, or of the bank where no scene is given.</summary>
    [AlwaysInterleave]
    Task<string> FileOfAsync(int? scene, int? take);

    /// <summary>Begins a job. Null where nobody wants it any more.</summary>
    Task<DrawingJob?> BeginAsync(int job);

    [OneWay]
    [AlwaysInterleave]
    Task ReportAsync(int job, int step, int steps, byte[][]? previews);

    /// <summary>Takes what a job drew, once: what is drawn stays as it is.</summary>
    Task CompleteAsync(int job, DrawnScene[] drawn);

    /// <summary>Ends a job that could not be done.</summary>
    /// <param name="job">The job.</param>
    /// <param name="error">Why.</param>
    /// <param name="isFinal">Whether it would end the same way a second time.</param>
    Task FailAsync(int job, string error, bool isFinal);

    /// <summary>Gives a job back that a worker leaves because its process ends.</summary>
    Task ReturnAsync(int job);

    /// <summary>Puts into the queue what is to be drawn.</summary>
    [OneWay]
    Task ResumeAsync();
}

/// <summary>The jobs of one model, each at most with one worker; its key is the model. Stories take turns.</summary>
internal interface IQueueGrain : IGrainWithStringKey
{
    /// <summary>Puts a story's jobs in, those that are not there already.</summary>
    /// <param name="story">The story's id.</param>
    /// <param name="jobs">All its jobs that can be begun.</param>
    /// <param name="scenes">The scenes that it has to draw.</param>
    /// <param name="isAsked">Whether they can be refused.</param>
    Task AddAsync(string story, int[] jobs, int scenes, bool isAsked);

    /// <summary>Takes a story out, and cancels what is being drawn of it.</summary>
    Task RemoveAsync(string story);

    /// <summary>Waits for a job, for a while; null when none came.</summary>
    Task<QueuedJob?> TakeAsync(string worker, CancellationToken cancellationToken);

    /// <summary>Says that a worker is at a job. It returns after a while, to be called again, or immediately with false when the worker is
    /// to leave the job.</summary>
    Task<bool> RenewAsync(string worker, QueuedJob job, CancellationToken cancellationToken);

    /// <summary>Says that a worker has left a job.</summary>
    /// <param name="worker">The worker.</param>
    /// <param name="job">The job.</param>
    /// <param name="isAgain">Whether another is to have it.</param>
    /// <param name="secondsPerScene">How long it took; null where that tells nothing.</param>
    Task ReleaseAsync(string worker, QueuedJob job, bool isAgain, double? secondsPerScene);

    /// <summary>Returns the stories whose turn comes before the story's next one, and the seconds until its last scene.</summary>
    Task<(int? Position, double? Seconds)> PlaceOfAsync(string story);
}

/// <summary>A job of a story.</summary>
[GenerateSerializer(GenerateFieldIds = GenerateFieldIds.PublicProperties)]
internal sealed record QueuedJob
{
    public required string Story { get; init; }

    public required int Number { get; init; }
}

/// <summary>What a worker needs to know to draw. Files are names in the story's folder.</summary>
[GenerateSerializer(GenerateFieldIds = GenerateFieldIds.PublicProperties)]
internal sealed record DrawingJob
{
    /// <summary>Gets the story of the anchors as JSON, if it is them that are drawn.</summary>
    public string? Anchors { get; init; }

    /// <summary>Gets the scenes as JSON, if it is them that are drawn.</summary>
    public string? Scenes { get; init; }

    public required string Options { get; init; }

    public required string Bank { get; init; }

    public required string[] Files { get; init; }
}

/// <summary>An image.</summary>
[GenerateSerializer(GenerateFieldIds = GenerateFieldIds.PublicProperties)]
internal sealed record DrawnScene
{
    public required string File { get; init; }

    public required string Hash { get; init; }

    public required long Seed { get; init; }

    public double? Score { get; init; }
}
