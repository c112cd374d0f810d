using System.Collections.Immutable;
using StorySync.Books;
using StorySync.Cluster;
using StorySync.Documents;
using StorySync.Extensions;
using StorySync.Pipelines;

namespace StorySync.Samples.Studio.Projects;

/// <summary>A project that is open, in any number of windows: what one of them does shows in all.</summary>
public sealed class Project
{
    private readonly ProjectFolder folder;
    private readonly IStoryService stories;
    private readonly StorySyncModel model;
    private readonly Lock changing = new();
    private volatile ProjectState state;
    private int isFinding;

    public Project(string name, ProjectFolder folder, IStoryService stories, StorySyncModel model)
    {
        ArgumentNullException.ThrowIfNull(folder);
        (Name, this.folder, this.stories, this.model) = (name, folder, stories, model);
        var files = folder.Load();
        state = WithKeys(new ProjectState(new(files.Story))
        {
            Takes = files.Takes.ToImmutableDictionary(take => take.Key), Jobs = files.Jobs,
        });
        foreach (var job in files.Jobs)
        {
            _ = FollowAsync(job);
        }
    }

    /// <summary>Occurs when the state has changed, on any thread.</summary>
    public event Action? Changed;

    public string Name { get; }

    public ProjectState State => state;

    /// <summary>Changes the story, as a step that can be undone.</summary>
    public void Edit(Func<StudioStory, StudioStory> change)
    {
        ArgumentNullException.ThrowIfNull(change);
        Change(old => change(old.Story) is var story && story != old.Story
            ? Settled(WithKeys(old with { History = old.History.Push(story), Error = null })) : old);
    }

    public void Undo() => Change(old => Settled(WithKeys(old with { History = old.History.Undo(), Error = null })));

    public void Redo() => Change(old => Settled(WithKeys(old with { History = old.History.Redo(), Error = null })));

    /// <summary>Draws what is not up to date.</summary>
    /// <param name="only">The one scene that is wanted; null for all.</param>
    public Task DrawAsync(int? only = null) => BeginAsync(now => Order.OfStale(
        now.Story,
        now.Keys!,
        now.Takes.ContainsKey,
        File.Exists(folder.BankPath(now.Keys!.Bank)),
        now.Story.Own is { } own ? RgbImage.Load(folder.ImagePath(own.Hash)) : null,
        only));

    /// <summary>Draws another take of a scene, which becomes the scene.</summary>
    public Task RedrawAsync(int scene)
    {
        Edit(story => story.With(scene, one => one with { IsLocked = false, Written = one.Written with { Seed = NextSeed(state) } }));
        return DrawAsync(scene);
    }

    /// <summary>Draws further takes of a scene, to choose from.</summary>
    public Task DrawCandidatesAsync(int scene, int count) => BeginAsync(now =>
        scene >= now.Keys!.Anchors && File.Exists(folder.BankPath(now.Keys.Bank))
            ? Order.OfCandidates(now.Story, now.Keys, scene, Enumerable.Range(0, count).Select(i => NextSeed(now) + i))
            : null);

    /// <summary>Draws the scenes by the plain model, for comparison.</summary>
    public Task DrawPlainAsync() => BeginAsync(now => Order.OfPlain(now.Story, now.Keys!, now.Takes.ContainsKey));

    /// <summary>Finds where the subjects are in the images that scenes show.</summary>
    public async Task FindSubjectsAsync()
    {
        if (state is not { Keys: not null } now || Interlocked.Exchange(ref isFinding, 1) == 1)
        {
            return;
        }

        try
        {
            var story = now.Story.ToStory().ExpandCast();
            foreach (var (i, scene) in now.Story.Scenes.Index())
            {
                if (scene.Shown is { } hash && !state.Found.ContainsKey(hash))
                {
                    var found = folder.FoundIn(hash) ?? await FindAsync(story, story.Scenes[i], hash, now.Story.ToFile().ToOptions());
                    folder.PutFound(hash, found);
                    Change(old => old with { Found = old.Found.SetItem(hash, found) }, isSaved: false);
                }
            }
        }
        catch (Exception exception) when (exception is ArgumentException or QueueFullException or IOException or InvalidOperationException)
        {
            Report(exception.Message);
        }
        finally
        {
            isFinding = 0;
        }
    }

    /// <summary>Makes a book of the images that scenes show, and returns whether it is there now.</summary>
    public async Task<bool> MakeBookAsync(BookFormat format, BookLayout layout)
    {
        await FindSubjectsAsync();
        try
        {
            var (story, head) = (state.Story, state.Story.Head);
            var book = new StoryBook
            {
                Title = head.Title ?? Name,
                Author = head.Author,
                Language = head.Language ?? "en",
                Panels = [.. story.Scenes.Where(scene => scene.Shown is not null).Select(scene => PanelOf(scene, head))],
            };
            await Task.Run(() => book.Save(BookPath(format), new BookOptions { Layout = layout }));
            return true;
        }
        catch (Exception exception) when (exception is ArgumentException or InvalidOperationException or IOException)
        {
            Report(exception.Message);
            return false;
        }
    }

    public string BookPath(BookFormat format) => folder.BookPath(format.ToString().ToLowerInvariant());

    /// <summary>Ends all drawing. What is drawn stays.</summary>
    public async Task CancelAsync()
    {
        foreach (var job in state.Jobs)
        {
            await ForgetAsync(job);
        }
    }

    /// <summary>Keeps an image of the user's as the subject's.</summary>
    /// <exception cref="InvalidDataException">It is no image.</exception>
    public void Bring(byte[] file)
    {
        var hash = folder.Put(RgbImage.Decode(file).EncodePng());
        Edit(story => story with { Own = new(hash, story.Own?.Prompt ?? DescriptionOf(story)) });
    }

    /// <summary>Says what went wrong.</summary>
    public void Report(string error) => Change(old => old with { Error = error }, isSaved: false);

    public string ImagePath(string hash) => folder.ImagePath(hash);

    private static string DescriptionOf(StudioStory story) =>
        story.Head.Cast.Count > 0 ? story.Head.Cast[0].Character.Name : story.Head.Subjects.Count > 0 ? story.Head.Subjects[0] : "";

    private static long NextSeed(ProjectState now) => now.Story.Scenes.Select(scene => scene.Seed)
        .Concat(now.Takes.Values.Select(take => take.Seed)).DefaultIfEmpty().Max() + 1;

    private BookPanel PanelOf(StudioScene scene, StoryFile head) => new(RgbImage.Load(folder.ImagePath(scene.Shown!)))
    {
        Caption = scene.Written.Caption,
        Description = scene.Written.Prompt,
        Dialogue = [.. scene.Written.Dialogue.Select(line => new BookLine(line.Who, line.Says))],
        Figures =
        [
            .. state.Found.GetValueOrDefault(scene.Shown!, []).Where(found => found.Region is { Area: > 0 }).Select(found =>
                new BookFigure(StoryBook.NamesOf(found.Subject, head.Cast.Select(one => one.Character)), found.Region!)),
        ],
    };

    private ProjectState WithKeys(ProjectState now)
    {
        try
        {
            return now with { Keys = StoryKeys.Of(now.Story, model.Name), Fault = null };
        }
        catch (Exception exception) when (exception is DocumentException or ArgumentException)
        {
            return now with { Keys = null, Fault = exception.Message };
        }
    }

    /// <summary>Has every scene that is up to date show its take.</summary>
    private static ProjectState Settled(ProjectState now)
    {
        var scenes = now.Story.Scenes;
        for (var i = 0; i < scenes.Count && now.Keys is not null; i++)
        {
            if (!scenes[i].IsLocked && now.Takes.TryGetValue(now.Keys.Scenes[i].Key, out var take) && scenes[i].Shown != take.Hash)
            {
                scenes = scenes.SetItem(i, scenes[i] with { Shown = take.Hash });
            }
        }

        return ReferenceEquals(scenes, now.Story.Scenes)
            ? now : now with { History = now.History with { Now = now.Story with { Scenes = scenes } } };
    }

    private void Change(Func<ProjectState, ProjectState> change, bool isSaved = true)
    {
        lock (changing)
        {
            var old = state;
            state = change(old);
            if (isSaved && state != old)
            {
                folder.Save(new(state.Story, [.. state.Takes.Values], state.Jobs));
            }
        }

        Changed?.Invoke();
    }

    private async Task BeginAsync(Func<ProjectState, Order?> plan)
    {
        try
        {
            var now = state;
            if (now.Keys is null || now.IsDrawing)
            {
                Change(old => old with { Error = old.Fault }, isSaved: false);
                return;
            }

            if (plan(now) is not { } order)
            {
                return;
            }

            StoryStatus accepted;
            if (order.FromBank is { } bank)
            {
                await using var file = File.OpenRead(folder.BankPath(bank));
                accepted = await stories.CreateAsync(file, order.Document);
            }
            else
            {
                accepted = await stories.CreateAsync(order.Document);
            }

            var job = new Job(accepted.Id, order.IntoBank, order.Wanted);
            Change(old => old with { Jobs = old.Jobs.Add(job), Error = null });
            _ = FollowAsync(job);
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException or QueueFullException or IOException)
        {
            Report(exception.Message);
        }
    }

    /// <summary>Watches a job to its end, and keeps what it draws.</summary>
    private async Task FollowAsync(Job job)
    {
        try
        {
            await foreach (var update in stories.WatchAsync(job.Id))
            {
                if (update is { Scene: { } scene } && job.Wanted[scene] is { } wanted)
                {
                    Change(
                        old => old with
                        {
                            Progress = old.Progress.SetItem(wanted.Key, new(
                                update.Step, update.Steps, update.Preview ?? old.Progress.GetValueOrDefault(wanted.Key)?.Preview)),
                        },
                        isSaved: false);
                }

                if (update.Status is { } status)
                {
                    await KeepAsync(job, status);
                }
            }
        }
        catch (StoryNotFoundException)
        {
            // It was canceled, here or by whoever deleted the service's folder.
        }
        catch (Exception exception)
        {
            Report(exception.Message);
        }

        await ForgetAsync(job);
    }

    /// <summary>Has the model look for the subjects in an image, as it does in one that is given to it as an anchor.</summary>
    private async Task<IReadOnlyList<SubjectResult>> FindAsync(Story story, Scene scene, string hash, StoryOptions options)
    {
        var looked = scene with
        {
            Image = RgbImage.Load(folder.ImagePath(hash)), Location = null,
            Subjects = [.. scene.Subjects.Where(own => own.IsPresent).Select(own => own with { Region = null, RegionMask = null })],
        };
        Subject[] present = [.. story.Subjects.Except(scene.Subjects.Where(own => !own.IsPresent).Select(own => own.Subject))];
        if (present.Length == 0)
        {
            return [];
        }

        using var result = await model.GenerateStoryAsync(
            new Story { Subjects = present, Scenes = [looked] }, options with { Anchors = 1 });
        return result.Scenes[0].Subjects;
    }

    private async Task KeepAsync(Job job, StoryStatus status)
    {
        foreach (var (scene, wanted) in status.Scenes.Zip(job.Wanted))
        {
            if (wanted is null || scene.Takes.Count == 0 || state.Takes.ContainsKey(wanted.Key))
            {
                continue;
            }

            await using var image = await stories.OpenImageAsync(job.Id, scene.Index);
            using var png = new MemoryStream();
            await image.CopyToAsync(png);
            var (hash, take) = (folder.Put(png.ToArray()), scene.Takes[^1]);
            Change(old => Settled(old with
            {
                Takes = old.Takes.SetItem(wanted.Key, new(wanted.Key, wanted.Family, hash, take.Seed, take.Score, scene.Prompt)),
                Progress = old.Progress.Remove(wanted.Key),
            }));
        }

        if (job.Bank is { } key && status.Scenes[0].Takes.Count > 0 && !File.Exists(folder.BankPath(key)))
        {
            await using var bank = await stories.OpenBankAsync(job.Id);
            await folder.PutBankAsync(key, bank);
        }

        if (status.Error is { } error)
        {
            Report(error);
        }
    }

    private async Task ForgetAsync(Job job)
    {
        Change(old => old with
        {
            Jobs = old.Jobs.RemoveAll(one => one.Id == job.Id),
            Progress = old.Progress.RemoveRange(job.Wanted.Where(wanted => wanted is not null).Select(wanted => wanted!.Key)),
        });
        try
        {
            await stories.DeleteAsync(job.Id);
        }
        catch (StoryNotFoundException)
        {
            // It is gone already.
        }
    }
}

/// <summary>What a project is at a moment.</summary>
public sealed record ProjectState(History<StudioStory> History)
{
    public StudioStory Story => History.Now;

    /// <summary>Gets the story's keys; null where it cannot be drawn as it is.</summary>
    public StoryKeys? Keys { get; init; }

    /// <summary>Gets why the story cannot be drawn; null where it can.</summary>
    public string? Fault { get; init; }

    /// <summary>Gets what went wrong last; null for nothing.</summary>
    public string? Error { get; init; }

    /// <summary>Gets the takes by their keys.</summary>
    public ImmutableDictionary<string, Take> Takes { get; init; } = ImmutableDictionary<string, Take>.Empty;

    public ImmutableList<Job> Jobs { get; init; } = [];

    /// <summary>Gets how far scenes are that are being drawn, by their keys.</summary>
    public ImmutableDictionary<string, SceneProgress> Progress { get; init; } = ImmutableDictionary<string, SceneProgress>.Empty;

    /// <summary>Gets where the subjects of images are, by the images' hashes, as far as they were looked for.</summary>
    public ImmutableDictionary<string, IReadOnlyList<SubjectResult>> Found { get; init; } =
        ImmutableDictionary<string, IReadOnlyList<SubjectResult>>.Empty;

    public bool IsDrawing => Jobs.Count > 0;

    /// <summary>Gets the scene's take; null where it is not up to date.</summary>
    public Take? TakeOf(int scene) => Keys is null ? null : Takes.GetValueOrDefault(Keys.Scenes[scene].Key);

    /// <summary>Gets the takes that can be chosen for a scene, in the order of their seeds.</summary>
    public IReadOnlyList<Take> CandidatesOf(int scene) =>
        Keys is null ? [] : [.. Takes.Values.Where(take => take.Family == Keys.Scenes[scene].Family).OrderBy(take => take.Seed)];

    /// <summary>Gets a value indicating whether a scene has to be drawn.</summary>
    public bool IsStale(int scene) => !Story.Scenes[scene].IsLocked && TakeOf(scene) is null;

    /// <summary>Gets how far a scene is; null where it is not being drawn.</summary>
    public SceneProgress? ProgressOf(int scene) =>
        Pending.Where(wanted => wanted.Key == Keys?.Scenes[scene].Key).Select(Of).FirstOrDefault();

    /// <summary>Gets how far the takes of a scene are that are being drawn.</summary>
    public IReadOnlyList<SceneProgress> PendingOf(int scene) =>
        [.. Pending.Where(wanted => wanted.Family == Keys?.Scenes[scene].Family).Select(Of)];

    /// <summary>Gets the scene whose subject is least like the others'; null where none is much less so: it lies more than 0.1 below the
    /// median.</summary>
    public int? Drifting()
    {
        var scores = Story.Scenes.Select((_, i) => (Scene: i, TakeOf(i)?.Score)).Where(one => one.Score is not null)
            .OrderBy(one => one.Score).ToArray();
        return scores.Length >= 3 && scores[scores.Length / 2].Score - scores[0].Score > 0.1 ? scores[0].Scene : null;
    }

    private IEnumerable<WantedScene> Pending =>
        Jobs.SelectMany(job => job.Wanted).OfType<WantedScene>().Where(wanted => !Takes.ContainsKey(wanted.Key));

    private SceneProgress Of(WantedScene wanted) => Progress.GetValueOrDefault(wanted.Key) ?? new SceneProgress(0, 0, null);
}

/// <summary>How far a scene is.</summary>
public sealed record SceneProgress(int Step, int Steps, byte[]? Preview);
