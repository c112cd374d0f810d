using System.Security.Cryptography;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using StorySync.Extensions;
using StorySync.Pipelines;
using StorySync.TestSupport;

namespace StorySync.Cluster.Tests;

/// <summary>A cluster of one process.</summary>
public sealed class EmbeddedTests : IAsyncLifetime
{
    private readonly TemporaryFolder folder = new();
    private IHost host = null!;

    private IStoryService Stories => host.Stories();

    public async ValueTask InitializeAsync() => host = await Hosts.StartAsync(folder.Path, options => options.MaxQueuedScenes = 20);

    public async ValueTask DisposeAsync()
    {
        await host.StopAsync();
        host.Dispose();
        folder.Dispose();
    }

    [Fact]
    public async Task A_story_is_drawn_as_the_library_draws_it()
    {
        var document = Hosts.Bears(4);
        var accepted = await Stories.CreateAsync(document);
        Assert.NotEqual(StoryState.Finished, accepted.State);
        var status = await Stories.EndAsync(accepted.Id);
        Assert.Equal((StoryState.Finished, null), (status.State, status.Error));

        var model = host.Services.GetRequiredService<StorySyncModel>();
        using var expected = await model.GenerateStoryAsync(document.Story, document.Options);
        for (var i = 0; i < 4; i++)
        {
            var image = await Stories.ImageAsync(accepted.Id, i);
            Assert.Equal(expected.Scenes[i].Image.EncodePng(), image);
            var take = Assert.Single(status.Scenes[i].Takes);
            Assert.Equal((Convert.ToHexStringLower(SHA256.HashData(image)), expected.Scenes[i].Seed), (take.Hash, take.Seed));
            Assert.Equal((expected.Scenes[i].Prompt, i), (status.Scenes[i].Prompt, status.Scenes[i].Index));
            Assert.Equal(i < 2 ? null : expected.Scenes[i].Consistency, take.Score);
        }
    }

    [Fact]
    public async Task A_watcher_hears_of_each_step_and_of_the_end()
    {
        var options = Hosts.Quick with { Request = Hosts.Quick.Request! with { PreviewInterval = 1 } };
        var id = (await Stories.CreateAsync(Hosts.Bears(3, options))).Id;
        var updates = new List<StoryUpdate>();
        await foreach (var update in Stories.WatchAsync(id))
        {
            updates.Add(update);
        }

        Assert.NotNull(updates[0].Status);
        Assert.Equal(StoryState.Finished, updates[^1].Status?.State);
        Assert.Equal(2, updates.Last(update => update.Scene == 2).Step);
        Assert.All(updates.Where(update => update.Scene is not null), update => Assert.Equal(2, update.Steps));
        Assert.NotEqual(0, RgbImage.Decode(updates.Last(update => update is { Scene: 2, Preview: not null }).Preview).Width);
        Assert.Equal(StoryState.Finished, Assert.Single(await ToListAsync(Stories.WatchAsync(id))).Status!.State);
    }

    [Fact]
    public async Task Scenes_and_takes_are_added_and_a_bank_goes_on_elsewhere()
    {
        var id = (await Stories.CreateAsync(Hosts.Bears(3))).Id;
        var first = await Stories.EndAsync(id);
        await Stories.AddScenesAsync(id, [new("a bear waving")]);
        await Stories.EndAsync(id);
        await Stories.RedrawAsync(id, 2);
        await Stories.EndAsync(id);
        await Stories.RedrawAsync(id, 3, new Scene("a bear jumping"));
        var last = await Stories.EndAsync(id);
        Assert.Equal([1, 1, 2, 2], last.Scenes.Select(scene => scene.Takes.Count));
        Assert.Equal(first.Hashes(), last.Scenes.Take(3).Select(scene => scene.Takes[0].Hash));
        Assert.Equal([3, 4, 7, 6], last.Scenes.Select(scene => scene.Takes[^1].Seed));
        Assert.Equal((6, "a bear jumping"), (last.Scenes[3].Takes[0].Seed, last.Scenes[3].Prompt));
        Assert.Equal(last.Scenes[2].Takes[0].Hash, Convert.ToHexStringLower(SHA256.HashData(await Stories.ImageAsync(id, 2, 0))));

        // The bank's anchors are the other story's first scenes, and the same scene has the same bytes there.
        using var bank = await Stories.OpenBankAsync(id);
        var other = await Stories.CreateAsync(bank, new() { Story = new() { Scenes = [new("a bear jumping") { Seed = 6 }] } });
        var drawn = await Stories.EndAsync(other.Id);
        Assert.Equal([last.Hashes()[0], last.Hashes()[1], last.Hashes()[3]], drawn.Hashes());
    }

    [Fact]
    public async Task A_deleted_story_frees_its_worker_and_leaves_nothing()
    {
        // It would take many minutes.
        var endless = Hosts.Bears(2, Hosts.Quick with { Request = new() { Steps = 1000, Height = 256, Width = 256 } });
        var id = (await Stories.CreateAsync(endless)).Id;
        await foreach (var update in Stories.WatchAsync(id))
        {
            if (update.Step > 1)
            {
                break;
            }
        }

        var watching = ToListAsync(Stories.WatchAsync(id));
        var next = await Stories.CreateAsync(Hosts.Bears(2));
        Assert.Equal((StoryState.Queued, 0), (next.State, next.QueuePosition));
        await Stories.DeleteAsync(id);
        Assert.Equal(StoryState.Canceled, (await watching)[^1].Status!.State);
        Assert.Equal(StoryState.Finished, (await Stories.EndAsync(next.Id)).State);
        await Assert.ThrowsAsync<StoryNotFoundException>(() => Stories.GetAsync(id));
        Assert.False(Directory.Exists(Path.Combine(folder.Path, id)));
        Assert.True(Directory.Exists(Path.Combine(folder.Path, next.Id)));
    }

    [Fact]
    public async Task Stories_take_turns()
    {
        var large = await Stories.CreateAsync(Hosts.Bears(12));
        var small = await Stories.CreateAsync(Hosts.Bears(4));
        Assert.Equal(StoryState.Finished, (await Stories.EndAsync(small.Id)).State);
        Assert.Equal(StoryState.Drawing, (await Stories.GetAsync(large.Id)).State);
        var status = await Stories.EndAsync(large.Id);
        Assert.Equal((StoryState.Finished, null, null), (status.State, status.QueuePosition, status.EstimatedSeconds));
    }

    [Fact]
    public async Task A_full_queue_refuses_and_takes_again()
    {
        var first = await Stories.CreateAsync(Hosts.Bears(12));
        var refused = await Assert.ThrowsAsync<QueueFullException>(() => Stories.CreateAsync(Hosts.Bears(12)));
        Assert.Contains("the limit is 20", refused.Message);
        Assert.Single(Directory.GetDirectories(folder.Path));
        await Stories.DeleteAsync(first.Id);
        Assert.Equal(StoryState.Finished, (await Stories.EndAsync((await Stories.CreateAsync(Hosts.Bears(12))).Id)).State);
    }

    [Fact]
    public async Task What_is_wrong_is_said()
    {
        var id = (await Stories.CreateAsync(Hosts.Bears(3))).Id;
        await Stories.EndAsync(id);
        var lists = Hosts.Quick with { Request = Hosts.Quick.Request! with { NegativePrompts = ["a", "b", "c"] } };
        (string Expected, Func<Task> Run)[] refused =
        [
            ("no scenes", () => Stories.CreateAsync(Hosts.Bears(0))),
            ("Anchors is 9", () => Stories.CreateAsync(Hosts.Bears(3, Hosts.Quick with { Anchors = 9 }))),
            ("has 3 NegativePrompts", () => Stories.CreateAsync(Hosts.Bears(3, lists))),
            ("Model is 'other'; the cluster has 'storybook'.", () => Stories.CreateAsync(Hosts.Bears(3) with { Model = "other" })),
            ("The story has no subjects", () => Stories.CreateAsync(new() { Story = new() { Scenes = [new("a bear")] } })),
            ("The bank cannot be read", () => Stories.CreateAsync(new MemoryStream([1, 2, 3]), Hosts.Bears(1))),
            ("no scenes", () => Stories.AddScenesAsync(id, [])),
            ("Scene 0 is an anchor", () => Stories.RedrawAsync(id, 0)),
        ];
        foreach (var (expected, run) in refused)
        {
            Assert.Contains(expected, (await Assert.ThrowsAsync<ArgumentException>(run)).Message);
        }

        (string Expected, Func<Task> Run)[] missing =
        [
            ("There is no story none.", () => Stories.GetAsync("none")),
            ("There is no story none.", () => Stories.DeleteAsync("none")),
            ("There is no story none.", () => Stories.EndAsync("none")),
            ("There is no story none.", () => Stories.OpenBankAsync("none")),
            ("has no scene 3; it has 3 scenes", () => Stories.RedrawAsync(id, 3)),
            ("has 1 images, and none is number 1", () => Stories.OpenImageAsync(id, 2, 1)),
        ];
        foreach (var (expected, run) in missing)
        {
            Assert.Contains(expected, (await Assert.ThrowsAsync<StoryNotFoundException>(run)).Message);
        }

        Assert.Equal([id], Directory.GetDirectories(folder.Path).Select(Path.GetFileName));
    }

    [Fact]
    public async Task What_only_the_model_knows_is_the_storys_error()
    {
        var id = (await Stories.CreateAsync(Hosts.Bears(3, Hosts.Quick with { Request = new() { Height = 63 } }))).Id;
        var status = await Stories.EndAsync(id);
        Assert.Equal(StoryState.Failed, status.State);
        Assert.Contains("63", status.Error);
        Assert.All(status.Scenes, scene => Assert.Equal((StoryState.Failed, status.Error), (scene.State, scene.Error)));
        await Assert.ThrowsAsync<InvalidOperationException>(() => Stories.AddScenesAsync(id, [new("a bear")]));

        // Now that the model is loaded, it is said before anything is accepted.
        await Assert.ThrowsAsync<ArgumentException>(
            () => Stories.CreateAsync(Hosts.Bears(3, Hosts.Quick with { Request = new() { Height = 63 } })));
    }

    [Fact]
    public async Task A_story_goes_on_in_the_next_process()
    {
        var id = (await Stories.CreateAsync(Hosts.Bears(8))).Id;
        await foreach (var update in Stories.WatchAsync(id))
        {
            if (update.Status?.Scenes.Count(scene => scene.State == StoryState.Finished) >= 3)
            {
                break;
            }
        }

        await host.StopAsync();
        host.Dispose();
        host = await Hosts.StartAsync(folder.Path);
        var before = await Stories.GetAsync(id);
        Assert.InRange(before.Scenes.Count(scene => scene.Takes.Count == 1), 3, 8);
        var status = await Stories.EndAsync(id);
        Assert.Equal(StoryState.Finished, status.State);
        var other = await Stories.EndAsync((await Stories.CreateAsync(Hosts.Bears(8))).Id);
        Assert.Equal(other.Hashes(), status.Hashes());
        Assert.All(status.Scenes, scene => Assert.Single(scene.Takes));
    }

    [Fact]
    public async Task A_folder_is_one_processs()
    {
        var refused = await Assert.ThrowsAnyAsync<Exception>(() => Hosts.StartAsync(folder.Path));
        Assert.Contains("belongs to another process that runs", refused.ToString());
    }

    private static async Task<List<StoryUpdate>> ToListAsync(IAsyncEnumerable<StoryUpdate> updates)
    {
        var list = new List<StoryUpdate>();
        await foreach (var update in updates)
        {
            list.Add(update);
        }

        return list;
    }
}
