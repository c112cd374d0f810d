using StorySync.Extensions;
using StorySync.Pipelines;

namespace StorySync.Cluster;

/// <summary>Keeps stories and has them drawn by the workers of a cluster. A story outlives the call that made it, its caller, and the
/// processes that draw it.</summary>
/// <remarks>Each story has anchors (<see cref="StoryOptions.Anchors"/>), which are drawn first and become its bank; every other scene is
/// drawn with the bank, by any worker. A story goes on until it ends or is deleted, whether anybody watches or not.</remarks>
public interface IStoryService
{
    /// <summary>Accepts a story. It is drawn when its turn comes.</summary>
    /// <param name="document">The story.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; it ends the waiting for the acceptance, not the
    /// story.</param>
    /// <returns>The story's first status, with its <see cref="StoryStatus.Id"/>.</returns>
    /// <exception cref="ArgumentException">The document is invalid. What only a loaded model can tell is told as the story's
    /// <see cref="StoryStatus.Error"/>.</exception>
    /// <exception cref="QueueFullException">As many scenes as may wait do so already.</exception>
    Task<StoryStatus> CreateAsync(StoryDocument document, CancellationToken cancellationToken = default);

    /// <summary>Accepts a story of further scenes of a bank.</summary>
    /// <param name="bank">A file that <see cref="StoryBank.Save"/> or <see cref="OpenBankAsync"/> gave; it is copied before the method
    /// returns.</param>
    /// <param name="document">The scenes. The story's subjects and cast are the bank's; the document's own have no effect, nor has its
    /// <see cref="StoryOptions.Anchors"/>.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; it ends the waiting for the acceptance, not the
    /// story.</param>
    /// <returns>The story's first status, with its <see cref="StoryStatus.Id"/>.</returns>
    /// <exception cref="ArgumentException">The document is invalid, or the file is no bank.</exception>
    /// <exception cref="QueueFullException">As many scenes as may wait do so already.</exception>
    Task<StoryStatus> CreateAsync(Stream bank, StoryDocument document, CancellationToken cancellationToken = default);

    /// <summary>Gets how far a story is.</summary>
    /// <param name="id">The story's id.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    /// <exception cref="StoryNotFoundException">There is no such story.</exception>
    Task<StoryStatus> GetAsync(string id, CancellationToken cancellationToken = default);

    /// <summary>Watches a story: its present status first, then each step of a scene as it is made, and the status whenever it changes. The
    /// sequence ends with the story. A watcher that is slow misses steps and previews, never the last status.</summary>
    /// <param name="id">The story's id.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; it ends the watching, not the story.</param>
    /// <exception cref="StoryNotFoundException">There is no such story.</exception>
    IAsyncEnumerable<StoryUpdate> WatchAsync(string id, CancellationToken cancellationToken = default);

    /// <summary>Adds scenes to a story, finished or not. They are drawn with its bank.</summary>
    /// <param name="id">The story's id.</param>
    /// <param name="scenes">The scenes; one without a seed counts on from the story's.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    /// <exception cref="ArgumentException">A scene is invalid.</exception>
    /// <exception cref="InvalidOperationException">The story failed, so that there is no bank.</exception>
    /// <exception cref="QueueFullException">As many scenes as may wait do so already.</exception>
    /// <exception cref="StoryNotFoundException">There is no such story.</exception>
    Task<StoryStatus> AddScenesAsync(string id, IReadOnlyList<Scene> scenes, CancellationToken cancellationToken = default);

    /// <summary>Draws a further take of a scene. Those before stay.</summary>
    /// <param name="id">The story's id.</param>
    /// <param name="scene">The scene, from 0; no anchor, because the others read those.</param>
    /// <param name="replacement">What to draw in its place; without a seed it has that of the scene's last take. Null for the same scene
    /// with a new seed, the one after the largest of the story's.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    /// <exception cref="ArgumentException">There is no such scene, it is an anchor, or the replacement is invalid.</exception>
    /// <exception cref="InvalidOperationException">The scene's last take is not drawn yet.</exception>
    /// <exception cref="QueueFullException">As many scenes as may wait do so already.</exception>
    /// <exception cref="StoryNotFoundException">There is no such story.</exception>
    Task<StoryStatus> RedrawAsync(string id, int scene, Scene? replacement = null, CancellationToken cancellationToken = default);

    /// <summary>Ends a story, within a layer of the model where it is being drawn, and forgets it with its files.</summary>
    /// <param name="id">The story's id.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    /// <exception cref="StoryNotFoundException">There is no such story.</exception>
    Task DeleteAsync(string id, CancellationToken cancellationToken = default);

    /// <summary>Opens the image of a scene.</summary>
    /// <param name="id">The story's id.</param>
    /// <param name="scene">The scene, from 0.</param>
    /// <param name="take">The take, from 0; null for the last.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    /// <returns>A PNG file, for the caller to dispose.</returns>
    /// <exception cref="StoryNotFoundException">There is no such story, scene or take, or it is not drawn yet.</exception>
    Task<Stream> OpenImageAsync(string id, int scene, int? take = null, CancellationToken cancellationToken = default);

    /// <summary>Opens a story's bank.</summary>
    /// <param name="id">The story's id.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    /// <returns>A file that <see cref="StoryBank.Load"/> reads, for the caller to dispose.</returns>
    /// <exception cref="StoryNotFoundException">There is no such story, or its anchors are not drawn yet.</exception>
    Task<Stream> OpenBankAsync(string id, CancellationToken cancellationToken = default);
}
