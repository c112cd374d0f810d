using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Runtime;
using StorySync.Pipelines;

namespace StorySync.Cluster;

/// <inheritdoc cref="IStoryGrain"/>
/// <remarks>Its state is written before it is reported. Whatever fails after that is made good when the queue asks for jobs.</remarks>
internal sealed class StoryGrain(
    [PersistentState("story", StorySyncClusterOptions.StorageName)] IPersistentState<StoryRecord> state,
    StoryFiles files,
    ClusterModels models,
    ILogger<StoryGrain> logger) : Grain, IStoryGrain
{
    /// <summary>How often a job is begun. One that ends its process each time must end too.</summary>
    private const int MaxBegun = 5;

    /// <summary>What a watcher can be late by.</summary>
    private const int MaxUpdates = 256;

    private const int AnchorsJob = 0;

    private readonly List<Channel<StoryUpdate>> watchers = [];
    private readonly HashSet<int> drawing = [];
    private StoryDocument? read;
    private string[]? prompts;

    private string Id => this.GetPrimaryKeyString();

    private StoryDocument Document => read ??= JsonSerializer.Deserialize<StoryDocument>(state.State.Document)!;

    private int Anchors => Document.Options!.Anchors!.Value;

    private bool HasBank => state.State.Scenes[0][0].Drawn is not null;

    private IEnumerable<TakeRecord> Takes => state.State.Scenes.SelectMany(takes => takes);

    private bool IsOver => !Takes.Any(take => take.IsPending());

    private IQueueGrain Queue => GrainFactory.GetGrain<IQueueGrain>(Document.Model!);

    public async Task<StoryStatus> CreateAsync(string document, string? bank, DrawnScene[] anchors)
    {
        if (state.RecordExists)
        {
            throw new InvalidOperationException($"There is a story {Id} already.");
        }

        read = JsonSerializer.Deserialize<StoryDocument>(document)!;
        read = read with { Model = models.NameOf(read.Model) };
        var own = state.State = new() { Document = JsonSerializer.Serialize(read), Jobs = 1 };
        try
        {
            await models.CheckAsync(read, bank is null ? null : files.PathOf(Id, bank), read.Story.Scenes.Skip(Anchors));
            own.Bank = bank
                ?? StoryFiles.NameOf(read.Model!, JsonSerializer.Serialize(AnchorsStory), BankOptions) + StoryFiles.BankExtension;
            own.Scenes.AddRange(read.Story.Scenes.Take(Anchors).Select((_, i) => new List<TakeRecord>
            {
                new() { Seed = SeedOf(i), Job = AnchorsJob, Drawn = anchors.ElementAtOrDefault(i) },
            }));
            AddTakes(read.Story.Scenes.Skip(Anchors));
            await QueueAsync(isAsked: true);
            files.CreateFolder(Id);
        }
        catch
        {
            DeactivateOnIdle();
            throw;
        }

        await SaveAsync();
        return await StatusAsync();
    }

    public Task<StoryStatus> GetAsync()
    {
        RequireStory();
        return StatusAsync();
    }

    public async IAsyncEnumerable<StoryUpdate> WatchAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        RequireStory();
        var updates = Channel.CreateBounded<StoryUpdate>(new BoundedChannelOptions(MaxUpdates)
        {
            FullMode = BoundedChannelFullMode.DropOldest,
        });
        watchers.Add(updates);
        try
        {
            yield return new StoryUpdate { Status = await StatusAsync() };
            if (IsOver)
            {
                yield break;
            }

            await foreach (var update in updates.Reader.ReadAllAsync(cancellationToken))
            {
                yield return update;
            }
        }
        finally
        {
            watchers.Remove(updates);
        }
    }

    public async Task<StoryStatus> AddScenesAsync(string scenes)
    {
        RequireStory();
        var further = JsonSerializer.Deserialize<Scene[]>(scenes)!;
        var story = Document.Story;
        var document = Document with { Story = story with { Scenes = [.. story.Scenes, .. further] } };
        _ = document.Story.ExpandCast();
        if (IsOver && !HasBank)
        {
            throw new InvalidOperationException($"Story {Id} has no bank to draw scenes with: its anchors failed.");
        }

        await models.CheckAsync(document, HasBank ? files.PathOf(Id, state.State.Bank) : null, further);
        return await ChangeAsync(() =>
        {
            (read, prompts) = (document, null);
            state.State.Document = JsonSerializer.Serialize(document);
            AddTakes(further);
        });
    }

    public async Task<StoryStatus> RedrawAsync(int scene, string? replacement)
    {
        var takes = TakesOf(scene);
        if (scene < Anchors)
        {
            throw new ArgumentException(
                $"Scene {scene} is an anchor: the other scenes read it. Make another story with another seed for it, or redraw one of the "
                + $"scenes from {Anchors} on.");
        }

        if (takes[^1].IsPending())
        {
            throw new InvalidOperationException($"The last take of scene {scene} is not drawn yet; wait for it.");
        }

        if (!HasBank)
        {
            throw new InvalidOperationException($"Story {Id} has no bank to draw scenes with: its anchors failed.");
        }

        var asked = replacement is null ? null : JsonSerializer.Deserialize<Scene>(replacement)!;
        if (asked is not null)
        {
            _ = Expand(asked);
        }

        var take = new TakeRecord
        {
            Replacement = replacement ?? takes[^1].Replacement,
            Seed = asked is null ? Takes.Max(other => other.Seed) + 1 : asked.Seed ?? takes[^1].Seed,
            Job = state.State.Jobs,
        };
        await models.CheckAsync(Document, files.PathOf(Id, state.State.Bank), [SceneOf(scene, take)]);
        return await ChangeAsync(() =>
        {
            state.State.Jobs++;
            takes.Add(take);
            prompts = null;
        });
    }

    public async Task DeleteAsync()
    {
        RequireStory();
        var queue = Queue;
        var last = await StatusAsync() with { State = StoryState.Canceled, QueuePosition = null, EstimatedSeconds = null };
        await state.ClearStateAsync();
        DeactivateOnIdle();
        await queue.RemoveAsync(Id);
        Tell(new StoryUpdate { Status = last });
        End();
        await files.DeleteFolderAsync(Id);
    }

    public Task<string> FileOfAsync(int? scene, int? take)
    {
        RequireStory();
        if (scene is not { } index)
        {
            return Task.FromResult(HasBank ? state.State.Bank : throw new StoryNotFoundException($"Story {Id} has no bank yet."));
        }

        var drawn = TakesOf(index).Where(one => one.Drawn is not null).Select(one => one.Drawn!).ToArray();
        return Task.FromResult((take ?? drawn.Length - 1) is var which && which >= 0 && which < drawn.Length
            ? drawn[which].File
            : throw new StoryNotFoundException(
                $"Scene {index} of story {Id} has {drawn.Length} images{(take is null ? "" : $", and none is number {take}")}."));
    }

    public async Task<DrawingJob?> BeginAsync(int job)
    {
        if (!state.RecordExists)
        {
            return null;
        }

        var wanted = PendingOf(job);
        if (wanted.Count == 0 || (job != AnchorsJob && !HasBank))
        {
            return null;
        }

        if (wanted[0].Take.Begun == MaxBegun)
        {
            await FailAsync(job, $"It was begun {MaxBegun} times and never ended; the log of the workers tells more.", isFinal: true);
            return null;
        }

        wanted.ForEach(one => one.Take.Begun++);
        await SaveAsync();
        drawing.Add(job);
        await TellStatusAsync();
        if (job == AnchorsJob)
        {
            return new DrawingJob
            {
                Anchors = JsonSerializer.Serialize(AnchorsStory),
                Options = BankOptions,
                Bank = state.State.Bank,
                Files = [.. wanted.Select(one => StoryFiles.NameOf(state.State.Bank, $"{one.Scene}") + StoryFiles.ImageExtension)],
            };
        }

        Scene[] scenes = [.. wanted.Select(one => SceneOf(one.Scene, one.Take))];
        return new DrawingJob
        {
            Scenes = JsonSerializer.Serialize(scenes),
            Options = SceneOptions,
            Bank = state.State.Bank,
            Files =
            [
                .. scenes.Select(scene =>
                    StoryFiles.NameOf(state.State.Bank, JsonSerializer.Serialize(scene), SceneOptions) + StoryFiles.ImageExtension),
            ],
        };
    }

    public Task ReportAsync(int job, int step, int steps, byte[][]? previews)
    {
        if (watchers.Count > 0 && state.RecordExists)
        {
            foreach (var (i, (scene, _)) in PendingOf(job).Index())
            {
                Tell(new StoryUpdate { Scene = scene, Step = step, Steps = steps, Preview = previews?[i] });
            }
        }

        return Task.CompletedTask;
    }

    public async Task CompleteAsync(int job, DrawnScene[] drawn)
    {
        if (!state.RecordExists)
        {
            return;
        }

        drawing.Remove(job);
        var wanted = PendingOf(job);
        if (wanted.Count > 0)
        {
            foreach (var (i, (_, take)) in wanted.Index())
            {
                take.Drawn = drawn[i];
            }

            await SaveAsync();
        }

        await QueueAsync(isAsked: false);
        await TellStatusAsync();
    }

    public async Task FailAsync(int job, string error, bool isFinal)
    {
        if (!state.RecordExists)
        {
            return;
        }

        drawing.Remove(job);
        var failed = PendingOf(job);
        if (failed.Count == 0 || (!isFinal && failed[0].Take.Begun < MaxBegun))
        {
            return;
        }

        Log.Failed(logger, Id, error);
        foreach (var take in job == AnchorsJob ? Takes : failed.Select(one => one.Take))
        {
            take.Error = error;
        }

        await SaveAsync();
        await QueueAsync(isAsked: false);
        await TellStatusAsync();
    }

    public async Task ReturnAsync(int job)
    {
        if (state.RecordExists)
        {
            drawing.Remove(job);
            PendingOf(job).ForEach(one => one.Take.Begun--);
            await SaveAsync();
        }
    }

    public async Task ResumeAsync()
    {
        if (state.RecordExists)
        {
            await QueueAsync(isAsked: false);
        }
        else
        {
            await Task.WhenAll(models.Names.Select(name => GrainFactory.GetGrain<IQueueGrain>(name).RemoveAsync(Id)));
            DeactivateOnIdle();
        }
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        End();
        return Task.CompletedTask;
    }

    private Story AnchorsStory => Document.Story with { Scenes = [.. Document.Story.Scenes.Take(Anchors).Select(Seeded)] };

    private string BankOptions => JsonSerializer.Serialize(Document.Options! with { Anchors = null, BatchSize = null });

    private string SceneOptions => JsonSerializer.Serialize(
        Document.Options! with { Anchors = null, BatchSize = null, BankForm = null, BankKeysDtype = null });

    private long SeedOf(int scene)
    {
        var (story, options) = (Document.Story, Document.Options!);
        return story.Scenes[scene].Seed ?? options.Request!.Seed!.Value + (options.SameNoise ? 0 : scene);
    }

    private Scene Seeded(Scene scene, int index) => scene with { Seed = SeedOf(index) };

    private Scene SceneOf(int index, TakeRecord take) =>
        (take.Replacement is { } other ? JsonSerializer.Deserialize<Scene>(other)! : Document.Story.Scenes[index])
            with { Seed = take.Seed };

    private string Expand(Scene scene) =>
        (Document.Story with { Scenes = [.. Document.Story.Scenes, scene] }).ExpandCast().Scenes[^1].Prompt;

    /// <summary>Adds a take of each of the story's last scenes.</summary>
    private void AddTakes(IEnumerable<Scene> scenes)
    {
        foreach (var some in scenes.Chunk(Document.Options!.BatchSize ?? 1))
        {
            foreach (var _ in some)
            {
                state.State.Scenes.Add([new() { Seed = SeedOf(state.State.Scenes.Count), Job = state.State.Jobs }]);
            }

            state.State.Jobs++;
        }
    }

    private List<(int Scene, TakeRecord Take)> PendingOf(int job) =>
    [
        .. state.State.Scenes.SelectMany((takes, scene) => takes.Select(take => (scene, take)))
            .Where(one => one.take.Job == job && one.take.IsPending()),
    ];

    private List<TakeRecord> TakesOf(int scene)
    {
        RequireStory();
        return scene >= 0 && scene < state.State.Scenes.Count
            ? state.State.Scenes[scene]
            : throw new StoryNotFoundException(
                $"Story {Id} has no scene {scene}; it has {state.State.Scenes.Count} scenes, from 0 to {state.State.Scenes.Count - 1}.");
    }

    private void RequireStory()
    {
        if (!state.RecordExists)
        {
            DeactivateOnIdle();
            throw new StoryNotFoundException($"There is no story {Id}.");
        }
    }

    /// <summary>Changes what there is to draw, if the queue has room for it.</summary>
    private async Task<StoryStatus> ChangeAsync(Action change)
    {
        try
        {
            change();
            await QueueAsync(isAsked: true);
        }
        catch
        {
            DeactivateOnIdle();
            throw;
        }

        await SaveAsync();
        await TellStatusAsync();
        return await StatusAsync();
    }

    /// <summary>Tells the queue what there is to draw.</summary>
    private Task QueueAsync(bool isAsked) => IsOver
        ? Queue.RemoveAsync(Id)
        : Queue.AddAsync(
            Id,
            [.. Takes.Where(take => take.IsPending() && (take.Job == AnchorsJob || HasBank)).Select(take => take.Job).Distinct()],
            Takes.Count(take => take.IsPending()),
            isAsked);

    private async Task SaveAsync()
    {
        try
        {
            await state.WriteStateAsync();
        }
        catch
        {
            // What is in memory is not what is stored: the next activation reads that.
            DeactivateOnIdle();
            throw;
        }
    }

    private async Task TellStatusAsync()
    {
        if (watchers.Count > 0)
        {
            Tell(new StoryUpdate { Status = await StatusAsync() });
            if (IsOver)
            {
                End();
            }
        }
    }

    private void Tell(StoryUpdate update) => watchers.ForEach(watcher => watcher.Writer.TryWrite(update));

    private void End() => watchers.ForEach(watcher => watcher.Writer.TryComplete());

    private async Task<StoryStatus> StatusAsync()
    {
        var (position, seconds) = await PlaceAsync();
        prompts ??= PromptsOf();
        var scenes = state.State.Scenes.Select((takes, index) => new SceneStatus
        {
            Index = index,
            Prompt = prompts[index],
            State = StateOf(takes[^1]),
            Takes = takes.Where(take => take.Drawn is not null)
                .Select(take => new TakeStatus { Hash = take.Drawn!.Hash, Seed = take.Drawn.Seed, Score = take.Drawn.Score }).ToArray(),
            Error = takes[^1].Error,
        }).ToArray();
        var error = scenes.FirstOrDefault(scene => scene.Error is not null)?.Error;
        return new StoryStatus
        {
            Id = Id,
            State = !IsOver ? scenes.All(scene => scene.State == StoryState.Queued) ? StoryState.Queued : StoryState.Drawing
                : error is null ? StoryState.Finished : StoryState.Failed,
            Scenes = scenes,
            Error = IsOver ? error : null,
            QueuePosition = position,
            EstimatedSeconds = seconds,
        };
    }

    private async Task<(int? Position, double? Seconds)> PlaceAsync()
    {
        try
        {
            return IsOver ? (null, null) : await Queue.PlaceOfAsync(Id);
        }
        catch (Exception exception) when (exception is OrleansException or TimeoutException)
        {
            // The queue is on its way to another silo; all else is known.
            return (null, null);
        }
    }

    private StoryState StateOf(TakeRecord take) =>
        take.Drawn is not null ? StoryState.Finished
        : take.Error is not null ? StoryState.Failed
        : drawing.Contains(take.Job) ? StoryState.Drawing : StoryState.Queued;

    private string[] PromptsOf()
    {
        var own = Document.Story.ExpandCast().Scenes;
        return
        [
            .. state.State.Scenes.Select((takes, i) => takes[^1].Replacement is { } other
                ? Expand(JsonSerializer.Deserialize<Scene>(other)!) : own[i].Prompt),
        ];
    }
}
