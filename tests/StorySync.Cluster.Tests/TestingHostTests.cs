using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans.TestingHost;
using StorySync.Pipelines;
using StorySync.TestSupport;

namespace StorySync.Cluster.Tests;

/// <summary>Two silos in this process, set up by hand.</summary>
public class TestingHostTests
{
    [Fact]
    public async Task Two_silos_draw_what_one_draws()
    {
        using var folder = new TemporaryFolder();
        var builder = new InProcessTestClusterBuilder(2);
        builder.ConfigureHost(host => host.Logging.SetMinimumLevel(LogLevel.Error));
        builder.ConfigureSilo((_, silo) =>
        {
            silo.Services.AddStorySync("storybook", options => options.Device = "cpu");
            silo.AddMemoryGrainStorage(StorySyncClusterOptions.StorageName);
            silo.AddStorySyncWorkers(options => (options.Folder, options.WorkerTimeout) = (folder.Path, TimeSpan.FromSeconds(3)));
        });
        await using var cluster = builder.Build();
        await cluster.DeployAsync();
        var stories = cluster.Silos[0].ServiceProvider.GetRequiredService<IStoryService>();
        var status = await stories.EndAsync((await stories.CreateAsync(Hosts.Bears(6))).Id);
        Assert.Equal(StoryState.Finished, status.State);

        await cluster.StopSiloAsync(cluster.Silos[1]);
        var alone = await stories.EndAsync((await stories.CreateAsync(Hosts.Bears(6))).Id);
        Assert.Equal(status.Hashes(), alone.Hashes());
        Assert.Equal(6, status.Hashes().Distinct().Count());
    }
}
