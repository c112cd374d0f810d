using System.Globalization;
using StorySync.Pipelines;
using StorySync.TestSupport;

namespace StorySync.Cluster.Tests;

/// <summary>A cluster of processes, of which some are lost.</summary>
public class ClusterTests
{
    private const int Scenes = 12;

    private static readonly StoryDocument Document = Hosts.Bears(
        Scenes, Hosts.Quick with { Request = Hosts.Quick.Request! with { Steps = 4 } });

    private static readonly Lazy<Task<string[]>> Undisturbed = new(DrawUndisturbedAsync);

    [Fact]
    public async Task A_killed_process_loses_no_scene_and_draws_none_twice()
    {
        await using var cluster = await RunningCluster.StartAsync(2);
        await AssertUndisturbedAsync(cluster, cluster.KillSiloOfAsync);
    }

    [Fact]
    public async Task A_story_goes_on_when_the_whole_cluster_was_killed()
    {
        await using var cluster = await RunningCluster.StartAsync(2);
        await AssertUndisturbedAsync(cluster, _ =>
        {
            cluster.KillSilos();
            cluster.StartSilos(2);
            return Task.CompletedTask;
        });
    }

    /// <summary>The seconds are few, for the tests' time; STORYSYNC_REDIS_AWAY gives more.</summary>
    [Fact]
    public async Task A_story_goes_on_when_Redis_was_away()
    {
        await using var cluster = await RunningCluster.StartAsync(2);
        var away = double.Parse(Environment.GetEnvironmentVariable("STORYSYNC_REDIS_AWAY") ?? "5", CultureInfo.InvariantCulture);
        await AssertUndisturbedAsync(cluster, async _ =>
        {
            await cluster.StopRedisAsync();
            await Task.Delay(TimeSpan.FromSeconds(away));
            await cluster.StartRedisAsync();
        });
    }

    /// <summary>Draws a story, disturbs that in the middle of it, and compares.</summary>
    private static async Task AssertUndisturbedAsync(RunningCluster cluster, Func<string, Task> disturb)
    {
        var id = (await cluster.Stories.CreateAsync(Document)).Id;
        StoryStatus? last = null;
        var isDisturbed = false;
        using var time = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        await foreach (var update in cluster.Stories.WatchAsync(id, time.Token))
        {
            last = update.Status ?? last;
            if (!isDisturbed && last!.Scenes.Count(scene => scene.State == StoryState.Finished) is >= 4 and < Scenes)
            {
                isDisturbed = true;
                await disturb(id);
            }
        }

        Assert.True(isDisturbed, "It ended before it could be disturbed.");
        Assert.Equal((StoryState.Finished, Scenes), (last!.State, last.Scenes.Count));
        Assert.All(last.Scenes, scene => Assert.Single(scene.Takes));
        Assert.Equal(await Undisturbed.Value, last.Hashes());
    }

    private static async Task<string[]> DrawUndisturbedAsync()
    {
        using var folder = new TemporaryFolder();
        using var host = await Hosts.StartAsync(folder.Path);
        var stories = host.Stories();
        var hashes = (await stories.EndAsync((await stories.CreateAsync(Document)).Id)).Hashes();
        await host.StopAsync();
        return hashes;
    }
}
