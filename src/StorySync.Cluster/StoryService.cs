using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text.Json;
using Orleans.Runtime;
using StackExchange.Redis;
using StorySync.Diffusion.Weights;
using StorySync.Pipelines;

namespace StorySync.Cluster;

/// <inheritdoc cref="IStoryService"/>
internal sealed class StoryService(IGrainFactory grains, StoryFiles files) : IStoryService
{
    private const int DefaultAnchors = 2;

    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    public Task<StoryStatus> CreateAsync(StoryDocument document, CancellationToken cancellationToken)
    {
        var settled = Settle(document, null);
        return StoryOf(Guid.NewGuid().ToString("N")).CreateAsync(JsonSerializer.Serialize(settled), null, []).WaitAsync(cancellationToken);
    }

    public async Task<StoryStatus> CreateAsync(Stream bank, StoryDocument document, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(bank);
        var id = Guid.NewGuid().ToString("N");
        try
        {
            var name = await files.CopyAsync(id, bank, cancellationToken).ConfigureAwait(false);
            var (settled, anchors) = await Task.Run(() => ReadBank(id, name, document), cancellationToken).ConfigureAwait(false);
            return await StoryOf(id).CreateAsync(JsonSerializer.Serialize(settled), name, anchors).WaitAsync(cancellationToken)
                .ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            await files.DeleteFolderAsync(id).ConfigureAwait(false);
            if (exception is ModelFileException)
            {
                throw new ArgumentException($"The bank cannot be read: {exception.Message}", exception);
            }

            throw;
        }
    }

    public Task<StoryStatus> GetAsync(string id, CancellationToken cancellationToken) =>
        StoryOf(id).GetAsync().WaitAsync(cancellationToken);

    public async IAsyncEnumerable<StoryUpdate> WatchAsync(string id, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        // A watch ends before its story when the story goes to another silo.
        for (var isOver = false; !isOver;)
        {
            await using var updates = StoryOf(id).WatchAsync(cancellationToken).GetAsyncEnumerator(cancellationToken);
            while (await NextAsync(updates).ConfigureAwait(false))
            {
                isOver = updates.Current.Status?.State is StoryState.Finished or StoryState.Failed or StoryState.Canceled;
                yield return updates.Current;
            }

            if (!isOver)
            {
                await Task.Delay(Pause, cancellationToken).ConfigureAwait(false);
            }
        }

        async Task<bool> NextAsync(IAsyncEnumerator<StoryUpdate> updates)
        {
            try
            {
                return await updates.MoveNextAsync().ConfigureAwait(false);
            }
            catch (Exception exception) when (!cancellationToken.IsCancellationRequested && IsPassing(exception))
            {
                return false;
            }
        }
    }

    /// <summary>Whether an exception says that a silo, or the storage, cannot be reached: a call that was not answered in time ends in
    /// one of several, by where it was.</summary>
    private static bool IsPassing(Exception exception) =>
        exception is OrleansException or TimeoutException or EnumerationAbortedException or OperationCanceledException or RedisException
        || (exception.InnerException is { } inner && IsPassing(inner));

    public Task<StoryStatus> AddScenesAsync(string id, IReadOnlyList<Scene> scenes, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(scenes);
        Require(scenes.Count > 0, "There are no scenes to add; give at least one.");
        return StoryOf(id).AddScenesAsync(JsonSerializer.Serialize(scenes)).WaitAsync(cancellationToken);
    }

    public Task<StoryStatus> RedrawAsync(string id, int scene, Scene? replacement, CancellationToken cancellationToken) =>
        StoryOf(id).RedrawAsync(scene, replacement is null ? null : JsonSerializer.Serialize(replacement)).WaitAsync(cancellationToken);

    public Task DeleteAsync(string id, CancellationToken cancellationToken) => StoryOf(id).DeleteAsync().WaitAsync(cancellationToken);

    public Task<Stream> OpenImageAsync(string id, int scene, int? take, CancellationToken cancellationToken) =>
        OpenAsync(id, scene, take, cancellationToken);

    public Task<Stream> OpenBankAsync(string id, CancellationToken cancellationToken) => OpenAsync(id, null, null, cancellationToken);

    /// <summary>Returns a document in which everything is said that a worker could otherwise choose.</summary>
    /// <exception cref="ArgumentException">It is invalid.</exception>
    private static StoryDocument Settle(StoryDocument document, StoryBank? bank)
    {
        ArgumentNullException.ThrowIfNull(document);
        var (story, options) = (document.Story, document.Options ?? new());
        Require(story?.Scenes is { Count: > 0 }, "The story has no scenes; give at least one.");
        Require(story!.Scenes.All(scene => !string.IsNullOrWhiteSpace(scene?.Prompt)), "A scene of the story has no prompt.");
        Require(options.BatchSize is null or >= 1, $"BatchSize is {options.BatchSize}; it must be at least 1.");
        var request = options.Request ?? bank?.Card.Request ?? new();
        foreach (var (name, count) in Lists(request))
        {
            Require(
                count <= 1, $"Request has {count} {name}; here one entry for all scenes is allowed, because each is drawn on its own.");
        }

        if (bank is { Card: var card })
        {
            story = card.Story with { Scenes = [.. card.Story.Scenes, .. story.Scenes] };
        }

        var anchors = bank?.Portraits.Count ?? options.Anchors ?? Math.Min(DefaultAnchors, story.Scenes.Count);
        Require(
            anchors >= 1 && anchors <= story.Scenes.Count,
            $"Anchors is {anchors}; it must be from 1 to the number of scenes, {story.Scenes.Count}.");
        _ = story.ExpandCast();
        return document with
        {
            Story = story,
            Options = options with
            {
                Anchors = anchors,
                BankForm = bank is null ? options.BankForm : null,
                BankKeysDtype = bank is null ? options.BankKeysDtype : null,
                Request = request with { Seed = request.Seed ?? RandomNumberGenerator.GetInt32(int.MaxValue) },
            },
        };
    }

    private static IEnumerable<(string Name, int Count)> Lists(GenerationRequest request)
    {
        yield return (nameof(request.NegativePrompts), request.NegativePrompts?.Count ?? 0);
        yield return (nameof(request.Images), request.Images?.Count ?? 0);
        var (prompts, negative) = request switch
        {
            StableDiffusionXLRequest own => (own.Prompts2, own.NegativePrompts2),
            FluxRequest own => (own.Prompts2, own.NegativePrompts2),
            _ => (null, null),
        };
        yield return (nameof(StableDiffusionXLRequest.Prompts2), prompts?.Count ?? 0);
        yield return (nameof(StableDiffusionXLRequest.NegativePrompts2), negative?.Count ?? 0);
    }

    private (StoryDocument Document, DrawnScene[] Anchors) ReadBank(string id, string name, StoryDocument document)
    {
        using var bank = StoryBank.Load(files.PathOf(id, name));
        var settled = Settle(document, bank);
        return (settled, [.. bank.Portraits.Select((image, i) => files.Write(
            id, StoryFiles.NameOf(name, $"{i}") + StoryFiles.ImageExtension, image, bank.Card.Seeds[i], score: null))]);
    }

    private async Task<Stream> OpenAsync(string id, int? scene, int? take, CancellationToken cancellationToken)
    {
        var file = await StoryOf(id).FileOfAsync(scene, take).WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            return new FileStream(
                files.PathOf(id, file), FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 0, useAsync: true);
        }
        catch (IOException exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new StoryNotFoundException(
                $"The file {file} of story {id} is not in the folder of this process; the processes of a cluster share one folder.",
                exception);
        }
    }

    private IStoryGrain StoryOf(string id)
    {
        ArgumentException.ThrowIfNullOrEmpty(id);
        return grains.GetGrain<IStoryGrain>(id);
    }

    private static void Require(bool isTrue, string message)
    {
        if (!isTrue)
        {
            throw new ArgumentException(message);
        }
    }
}
