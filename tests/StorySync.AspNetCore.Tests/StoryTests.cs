using System.Net;
using System.Net.Http.Headers;
using System.Net.ServerSentEvents;
using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using StorySync.Cluster;
using StorySync.Pipelines;
using StorySync.TestSupport;

namespace StorySync.AspNetCore.Tests;

/// <summary>Stories, over a cluster of one process.</summary>
public class StoryTests(ServerFixture fixture) : IClassFixture<ServerFixture>
{
    private const string Yaml = """
        cast:
          Mia: a yellow rabbit with a red scarf
        seed: 3
        steps: 2
        width: 64
        height: 64
        scenes:
          - Mia at the beach
          - Mia in the snow
          - Mia waving
        """;

    private const string Document = """
        {"story":{"subjects":["a bear"],"scenes":[{"prompt":"a bear standing"},{"prompt":"a bear waving"}]},
         "options":{"anchors":1,"request":{"steps":2,"seed":3,"width":64,"height":64}},"model":"storybook"}
        """;

    private readonly TestServer server = fixture.Server;

    [Fact]
    public async Task A_story_is_accepted_drawn_watched_and_fetched()
    {
        var (accepted, body) = await PostAsync("/v1/stories?previews=1", Yaml, "application/yaml");
        var place = accepted.Headers.Location!.ToString();
        var events = await WatchAsync(place);
        var status = await GetAsync(place);
        var image = await server.Client.GetAsync($"{place}/scenes/2/image");
        var file = await image.Content.ReadAsByteArrayAsync();

        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        Assert.Equal($"/v1/stories/{body.GetProperty("id").GetString()}", place);
        Assert.Equal("Finished", status.GetProperty("state").GetString());
        Assert.Equal("status", events[0].Type);
        Assert.Equal(("status", "Finished"), (events[^1].Type, events[^1].Data.GetProperty("state").GetString()));
        Assert.Contains(events, step => step.Type == "step" && step.Data.GetProperty("preview").ValueKind == JsonValueKind.String);
        Assert.All(events.Where(step => step.Type == "step"), step => Assert.Equal(2, step.Data.GetProperty("steps").GetInt32()));
        Assert.Equal("image/png", image.Content.Headers.ContentType?.MediaType);
        Assert.Equal($"\"{Convert.ToHexStringLower(SHA256.HashData(file))}\"", image.Headers.ETag?.Tag);
        Assert.Equal((64, 64), (RgbImage.Decode(file).Width, RgbImage.Decode(file).Height));
    }

    [Fact]
    public async Task An_image_that_a_client_has_is_not_sent_again()
    {
        var place = await FinishedAsync(Document);
        var image = await server.Client.GetAsync($"{place}/scenes/0/image");
        using var again = new HttpRequestMessage(HttpMethod.Get, $"{place}/scenes/0/image");
        again.Headers.IfNoneMatch.Add(image.Headers.ETag!);
        var answer = await server.Client.SendAsync(again);

        Assert.Equal(HttpStatusCode.NotModified, answer.StatusCode);
        Assert.Empty(await answer.Content.ReadAsByteArrayAsync());
    }

    [Fact]
    public async Task Scenes_are_added_and_drawn_again()
    {
        var place = await FinishedAsync(Document);
        var first = (await server.Client.GetAsync($"{place}/scenes/1/image")).Headers.ETag;
        var added = await PostAsync($"{place}/scenes", """["a bear in the snow",{"prompt":"a bear at the beach","seed":9}]""");
        await WatchAsync(place);
        var redrawn = await PostAsync($"{place}/scenes/1/redraw", "");
        await WatchAsync(place);
        await PostAsync($"{place}/scenes/2/redraw", """{"prompt":"a bear sleeping"}""");
        await WatchAsync(place);
        var scenes = (await GetAsync(place)).GetProperty("scenes").EnumerateArray().ToList();

        Assert.Equal(HttpStatusCode.Accepted, added.Response.StatusCode);
        Assert.Equal(HttpStatusCode.Accepted, redrawn.Response.StatusCode);
        Assert.Equal(4, scenes.Count);
        Assert.Equal([1, 2, 2, 1], scenes.Select(scene => scene.GetProperty("takes").GetArrayLength()));
        Assert.Equal("a bear sleeping", scenes[2].GetProperty("prompt").GetString());
        Assert.Equal(9, scenes[3].GetProperty("takes")[0].GetProperty("seed").GetInt64());
        Assert.NotEqual(first, (await server.Client.GetAsync($"{place}/scenes/1/image")).Headers.ETag);
        Assert.Equal(first, (await server.Client.GetAsync($"{place}/scenes/1/image?take=0")).Headers.ETag);
    }

    [Fact]
    public async Task A_bank_is_downloaded_and_further_scenes_are_drawn_with_it()
    {
        var place = await FinishedAsync(Document);
        var bank = await server.Client.GetByteArrayAsync($"{place}/bank");
        using var form = new MultipartFormDataContent
        {
            { new ByteArrayContent(bank), "bank", "bear.storybank" },
            { new StringContent("scenes: [a bear in the snow]"), "document" },
        };
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/stories/bank") { Content = form };
        var (response, body) = await server.SendAsync(request);
        var further = response.Headers.Location!.ToString();
        await WatchAsync(further);
        var status = await GetAsync(further);

        Assert.Equal(HttpStatusCode.Accepted, response.StatusCode);
        Assert.Equal($"/v1/stories/{body.GetProperty("id").GetString()}", further);
        Assert.Equal(("Finished", 2), (status.GetProperty("state").GetString(), status.GetProperty("scenes").GetArrayLength()));
        Assert.Equal(
            await server.Client.GetByteArrayAsync($"{place}/scenes/0/image"),
            await server.Client.GetByteArrayAsync($"{further}/scenes/0/image"));
    }

    [Fact]
    public async Task A_story_that_is_deleted_ends_and_is_forgotten()
    {
        var (response, _) = await PostAsync("/v1/stories", Document.Replace("\"steps\":2", "\"steps\":100", StringComparison.Ordinal));
        var place = response.Headers.Location!.ToString();
        var begun = new TaskCompletionSource();
        var watching = WatchAsync(place, begun);
        await begun.Task;

        Assert.Equal(HttpStatusCode.NoContent, (await server.Client.DeleteAsync(place)).StatusCode);
        Assert.Equal("Canceled", (await watching)[^1].Data.GetProperty("state").GetString());
        Assert.Equal(HttpStatusCode.NotFound, (await server.Client.GetAsync(place)).StatusCode);
    }

    [Theory]
    [InlineData("")]
    [InlineData("/events")]
    [InlineData("/bank")]
    [InlineData("/scenes/0/image")]
    public async Task What_there_is_not_is_not_found(string part)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/v1/stories/none{part}");
        var (response, body) = await server.SendAsync(request);

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        Assert.Equal("not_found", body.GetProperty("code").GetString());
    }

    [Theory]
    [InlineData("application/yaml", "sceens: [a cat]", "did you mean 'scenes'?")]
    [InlineData("application/yaml", "subjects: [a cat]\nsteps: 2", "no scenes")]
    [InlineData("application/yaml", "steps: 101\nsubjects: [a cat]\nscenes: [a cat]", "expected 100 at most")]
    [InlineData("application/yaml", "width: 4096\nheight: 4096\nsubjects: [a cat]\nscenes: [a cat]", "expected 4194304 at most")]
    [InlineData("application/json", """{"scenes":["a cat"],"sede":3}""", "did you mean 'seed'?")]
    [InlineData("application/json", """{"story":{"scenes":[]}}""", "no scenes")]
    [InlineData("application/json", """{"story":{"scenes":[{"prompt":"a cat"}]},"options":{"anchor":1}}""", "anchor")]
    [InlineData("application/json", """{"story":{"scenes":[{"prompt":"a cat"}]},"model":"other"}""", "expected storybook")]
    [InlineData("application/json", """{"story":{"scenes":[{"prompt":"a cat","image":"AAAA"}]}}""", "image")]
    [InlineData("application/json", "", "JSON")]
    public async Task A_story_that_is_wrong_is_a_problem_that_says_so(string mediaType, string text, string message)
    {
        var (response, body) = await PostAsync("/v1/stories", text, mediaType);

        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        Assert.Contains(message, body.GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.True(response.StatusCode is HttpStatusCode.BadRequest or HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_file_that_is_no_bank_is_a_problem()
    {
        using var form = new MultipartFormDataContent
        {
            { new ByteArrayContent([1, 2, 3]), "bank", "bear.storybank" },
            { new StringContent("scenes: [a bear in the snow]"), "document" },
        };
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/stories/bank") { Content = form };

        Assert.Equal(HttpStatusCode.BadRequest, (await server.SendAsync(request)).Response.StatusCode);
    }

    [Fact]
    public async Task More_scenes_than_may_wait_are_asked_to_come_again()
    {
        using var folder = new TemporaryFolder();
        await using var small = await TestServer.StartAsync(add: services => services.AddStorySyncCluster(options =>
            (options.Folder, options.MaxQueuedScenes) = (folder.Path, 1)));
        using var content = new StringContent(Yaml, null, "application/yaml");
        var response = await small.Client.PostAsync("/v1/stories", content);

        Assert.Equal(HttpStatusCode.TooManyRequests, response.StatusCode);
        Assert.True(response.Headers.RetryAfter?.Delta >= TimeSpan.FromSeconds(1));
    }

    private async Task<(HttpResponseMessage Response, JsonElement Body)> PostAsync(
        string path, string text, string mediaType = "application/json")
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(text, null, mediaType) };
        return await server.SendAsync(request);
    }

    private async Task<string> FinishedAsync(string document)
    {
        var (response, _) = await PostAsync("/v1/stories", document);
        var place = response.Headers.Location!.ToString();
        await WatchAsync(place);
        return place;
    }

    private async Task<JsonElement> GetAsync(string path)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        return (await server.SendAsync(request)).Body;
    }

    /// <summary>Reads the events of a story to their end.</summary>
    private async Task<List<(string Type, JsonElement Data)>> WatchAsync(string place, TaskCompletionSource? begun = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"{place}/events");
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/event-stream"));
        using var response = await server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        await using var stream = await response.Content.ReadAsStreamAsync();
        var events = new List<(string, JsonElement)>();
        await foreach (var item in SseParser.Create(stream, (_, data) => JsonSerializer.Deserialize<JsonElement>(data)).EnumerateAsync())
        {
            events.Add((item.EventType, item.Data));
            begun?.TrySetResult();
        }

        return events;
    }
}
