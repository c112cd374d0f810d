using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using StorySync.Pipelines;

namespace StorySync.Cluster.Tests;

/// <summary>Applications, as a program sets them up, and stories that are quickly drawn.</summary>
internal static class Hosts
{
    public static StoryOptions Quick { get; } = new() { Anchors = 2, Request = new() { Steps = 2, Seed = 3, Height = 64, Width = 64 } };

    public static StoryDocument Bears(int scenes, StoryOptions? options = null) => new()
    {
        Story = new()
        {
            Subjects = ["a bear"],
            Scenes = [.. Enumerable.Range(0, scenes).Select(i => new Scene(i % 2 == 0 ? "a bear standing" : "a bear in the snow"))],
        },
        Options = options ?? Quick,
    };

    /// <summary>Starts a cluster of one process that keeps its state in a folder.</summary>
    public static async Task<IHost> StartAsync(string folder, Action<StorySyncClusterOptions>? configure = null)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Services.AddLogging(logging => logging.SetMinimumLevel(LogLevel.Warning).AddConsole());
        builder.Services.AddStorySync("storybook", options => options.Device = "cpu");
        builder.Services.AddStorySyncCluster(options =>
        {
            options.Folder = folder;
            configure?.Invoke(options);
        });
        var host = builder.Build();
        await host.StartAsync();
        return host;
    }

    public static IStoryService Stories(this IHost host) => host.Services.GetRequiredService<IStoryService>();

    /// <summary>Watches a story to its end.</summary>
    public static async Task<StoryStatus> EndAsync(this IStoryService stories, string id)
    {
        StoryStatus? last = null;
        await foreach (var update in stories.WatchAsync(id))
        {
            last = update.Status ?? last;
        }

        return last!;
    }

    public static string[] Hashes(this StoryStatus status) => [.. status.Scenes.Select(scene => scene.Takes[^1].Hash)];

    public static async Task<byte[]> ImageAsync(this IStoryService stories, string id, int scene, int? take = null)
    {
        using var image = await stories.OpenImageAsync(id, scene, take);
        using var bytes = new MemoryStream();
        await image.CopyToAsync(bytes);
        return bytes.ToArray();
    }
}
