using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using StorySync.TestSupport;

namespace StorySync.AspNetCore.Tests;

/// <summary>The sample as it stands.</summary>
public class ServerSampleTests
{
    [Fact]
    public async Task The_sample_says_what_it_offers_and_that_it_is_well()
    {
        using var folder = new TemporaryFolder();
        await using var factory = new WebApplicationFactory<Program>().WithWebHostBuilder(host =>
            host.UseSetting("StorySync:Cluster:Folder", folder.Path).UseSetting("Logging:LogLevel:Default", "None"));
        using var client = factory.CreateClient();
        var document = await client.GetFromJsonAsync<JsonElement>("/openapi/v1.json");

        Assert.Equal("Healthy", await client.GetStringAsync("/health"));
        Assert.True(document.GetProperty("paths").TryGetProperty("/v1/images/generations", out var images));
        Assert.True(images.GetProperty("post").GetProperty("requestBody").GetProperty("content").TryGetProperty("application/json", out _));
        Assert.True(document.GetProperty("paths").TryGetProperty("/v1/stories/{id}/events", out _));
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("/v1/models/storybook")).StatusCode);
    }
}
