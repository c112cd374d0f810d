using System.Security.Cryptography;
using Microsoft.Extensions.DependencyInjection;
using StorySync.Extensions;
using StorySync.Pipelines;
using StorySync.TestSupport;

namespace StorySync.Cluster.Tests;

/// <summary>A cluster of one process, with its state in a SQLite file.</summary>
public class EmbeddedTests
{
    [Fact]
    public async Task A_story_is_drawn_as_the_library_draws_it()
    {
        using var folder = new TemporaryFolder();
        using var host = await Hosts.StartAsync(folder.Path);
        var stories = host.Stories();
        var document = Hosts.Bears(4);
        var accepted = await stories.CreateAsync(document);
        Assert.NotEqual(StoryState.Finished, accepted.State);
        var status = await stories.EndAsync(accepted.Id);
        Assert.Equal((StoryState.Finished, null), (status.State, status.Error));

        var model = host.Services.GetRequiredService<StorySyncModel>();
        using var expected = await model.GenerateStoryAsync(document.Story, document.Options);
        for (var i = 0; i < 4; i++)
        {
            var image = await stories.ImageAsync(accepted.Id, i);
            Assert.Equal(expected.Scenes[i].Image.EncodePng(), image);
            var take = Assert.Single(status.Scenes[i].Takes);
            Assert.Equal((Convert.ToHexStringLower(SHA256.HashData(image)), expected.Scenes[i].Seed), (take.Hash, take.Seed));
            Assert.Equal(expected.Scenes[i].Prompt, status.Scenes[i].Prompt);
        }

        await host.StopAsync();
    }
}
