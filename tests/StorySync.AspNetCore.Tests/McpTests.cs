using System.Collections.Concurrent;
using Microsoft.Extensions.DependencyInjection;
using ModelContextProtocol;
using ModelContextProtocol.Client;
using ModelContextProtocol.Protocol;
using StorySync.Pipelines;
using StorySync.TestSupport;

namespace StorySync.AspNetCore.Tests;

/// <summary>Stories, as assistants ask for them, by the protocol's own client.</summary>
public class McpTests
{
    private static readonly Dictionary<string, object?> Story = new()
    {
        ["scenes"] = new[] { "Mia at the beach", "Mia in the snow", "Mia waving" },
        ["characters"] = new Dictionary<string, string> { ["Mia"] = "a yellow rabbit with a red scarf" },
        ["seed"] = 3,
        ["steps"] = 2,
        ["width"] = 64,
        ["height"] = 64,
    };

    [Fact]
    public async Task An_assistant_makes_a_story_adds_a_scene_and_has_one_drawn_again()
    {
        using var folder = new TemporaryFolder();
        await using var server = await TestServer.StartAsync(
            add: services => services.AddStorySyncCluster(options => options.Folder = folder.Path));
        await using var client = await McpClient.CreateAsync(new HttpClientTransport(
            new HttpClientTransportOptions { Endpoint = new Uri(server.Client.BaseAddress!, "mcp") }));
        var steps = new ConcurrentQueue<ProgressNotificationValue>();
        var tools = await client.ListToolsAsync();
        var made = await client.CallToolAsync("make_story", Story, new Recorder(steps));
        var id = Texts(made)[0]["Story ".Length..];
        var added = await client.CallToolAsync("add_scene", new Dictionary<string, object?> { ["story"] = id, ["prompt"] = "Mia asleep" });
        var redrawn = await client.CallToolAsync("redraw_scene", new Dictionary<string, object?> { ["story"] = id, ["scene"] = 2 });
        var book = await client.CallToolAsync(
            "export_book", new Dictionary<string, object?> { ["story"] = id, ["title"] = "Mia", ["captions"] = new[] { "Once." } });
        var wrong = await client.CallToolAsync("redraw_scene", new Dictionary<string, object?> { ["story"] = id, ["scene"] = 0 });

        Assert.Equal(["add_scene", "export_book", "make_story", "redraw_scene"], tools.Select(tool => tool.Name).Order());
        Assert.Equal([64, 64, 64], Images(made).Select(image => image.Width));
        Assert.Equal("Scene 3: A yellow rabbit with a red scarf asleep", Assert.Single(Texts(added)[1..]).Split(" (seed")[0]);
        Assert.NotEqual(Images(made)[2].Pixels.ToArray(), Assert.Single(Images(redrawn)).Pixels.ToArray());
        Assert.Contains(steps, step => step is { Total: 3 });
        var file = Assert.IsType<BlobResourceContents>(Assert.Single(book.Content.OfType<EmbeddedResourceBlock>()).Resource);
        Assert.Equal(("application/pdf", "%PDF"), (file.MimeType, System.Text.Encoding.Latin1.GetString(file.DecodedData.Span[..4])));
        Assert.True(wrong.IsError);
        Assert.Contains("anchor", Texts(wrong)[0], StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_tools_need_a_key_where_there_are_some()
    {
        await using var server = await TestServer.StartAsync(options => options.ApiKeys.Add("right"));
        var transport = new HttpClientTransport(new HttpClientTransportOptions { Endpoint = new Uri(server.Client.BaseAddress!, "mcp") });

        await Assert.ThrowsAnyAsync<Exception>(() => McpClient.CreateAsync(transport));
        await using var client = await McpClient.CreateAsync(new HttpClientTransport(new HttpClientTransportOptions
        {
            Endpoint = new Uri(server.Client.BaseAddress!, "mcp"),
            AdditionalHeaders = new Dictionary<string, string> { ["Authorization"] = "Bearer right" },
        }));
    }

    [Fact]
    public async Task The_sample_serves_the_program_that_started_it()
    {
        using var folder = new TemporaryFolder();
        await using var client = await McpClient.CreateAsync(new StdioClientTransport(new StdioClientTransportOptions
        {
            Command = "dotnet",
            Arguments = [Path.Combine(AppContext.BaseDirectory, "Server.dll"), "mcp", $"--StorySync:Cluster:Folder={folder.Path}"],
            WorkingDirectory = AppContext.BaseDirectory,
        }));

        Assert.Equal(3, Images(await client.CallToolAsync("make_story", Story)).Count);
    }

    private static List<string> Texts(CallToolResult result) =>
        [.. result.Content.OfType<TextContentBlock>().Select(block => block.Text)];

    private static List<RgbImage> Images(CallToolResult result) =>
        [.. result.Content.OfType<ImageContentBlock>().Select(block => RgbImage.Decode(block.DecodedData.Span))];

    private sealed class Recorder(ConcurrentQueue<ProgressNotificationValue> steps) : IProgress<ProgressNotificationValue>
    {
        public void Report(ProgressNotificationValue value) => steps.Enqueue(value);
    }
}
