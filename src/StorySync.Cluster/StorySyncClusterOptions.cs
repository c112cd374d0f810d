namespace StorySync.Cluster;

/// <summary>Specifies where a cluster keeps its stories, and how its processes find each other. One setting, <see cref="Redis"/>, makes
/// many processes of one.</summary>
public sealed class StorySyncClusterOptions
{
    /// <summary>The name of the grain storage that stories are kept in, for silos that are set up by hand
    /// (<c>AddStorySyncWorkers</c>).</summary>
    public const string StorageName = "StorySync";

    /// <summary>Gets or sets the folder for banks and images, and, without <see cref="Redis"/>, for the state (<c>stories.db</c>). The
    /// processes of a cluster share it. Default <c>stories</c> in the current folder; it is created.</summary>
    public string Folder { get; set; } = "stories";

    /// <summary>Gets or sets the address of Redis, such as <c>redis:6379</c>, in which the processes of a cluster find each other and keep
    /// their state; null (default) for one process of its own.</summary>
    public string? Redis { get; set; }

    /// <summary>Gets or sets the name that distinguishes clusters in one Redis. Default <c>storysync</c>.</summary>
    public string ClusterId { get; set; } = "storysync";

    /// <summary>Gets or sets the IP address at which other processes reach this one; null (default) for the machine's. Without
    /// <see cref="Redis"/> it is the loopback address.</summary>
    public string? Address { get; set; }

    /// <summary>Gets or sets the port for the other silos of a cluster; 0 for a free one. Default 11111; without <see cref="Redis"/> a free
    /// one.</summary>
    public int SiloPort { get; set; } = 11111;

    /// <summary>Gets or sets the port for clients of a cluster; 0 for a free one. Default 30000; without <see cref="Redis"/> there is
    /// none.</summary>
    public int GatewayPort { get; set; } = 30000;

    /// <summary>Gets or sets the number of scenes of one model that can wait, at least 1. Default 1000. A story that would exceed it is
    /// refused with a <see cref="Extensions.QueueFullException"/>.</summary>
    public int MaxQueuedScenes { get; set; } = 1000;

    /// <summary>Gets or sets the time after which a worker that is not heard of counts as lost, and what it draws is given to another. At
    /// least one second. Default 15 seconds.</summary>
    public TimeSpan WorkerTimeout { get; set; } = TimeSpan.FromSeconds(15);
}
