using System.Net;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using StorySync.Extensions;

namespace StorySync.AspNetCore.Tests;

/// <summary>An application with the embedded model and the endpoints, on a free port of this machine.</summary>
internal sealed class TestServer : IAsyncDisposable
{
    /// <summary>The header by which a test has a request come from another machine.</summary>
    public const string From = "Test-From";

    private readonly WebApplication app;

    private TestServer(WebApplication app) => (this.app, Client) = (app, new HttpClient { BaseAddress = new Uri(app.Urls.First()) });

    public HttpClient Client { get; }

    public IServiceProvider Services => app.Services;

    public StorySyncModel Model => app.Services.GetRequiredService<StorySyncModel>();

    public static async Task<TestServer> StartAsync(
        Action<StorySyncServerOptions>? configure = null, Action<StorySyncModelOptions>? model = null,
        Action<IServiceCollection>? add = null)
    {
        var builder = WebApplication.CreateBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.AddStorySync("storybook", options =>
        {
            options.Device = "cpu";
            model?.Invoke(options);
        });
        builder.Services.AddStorySyncServer(options =>
        {
            options.RequestsPerMinute = 10_000;
            configure?.Invoke(options);
        });
        builder.Services.AddStorySyncMcp().WithHttpTransport(options => options.Stateless = true);
        add?.Invoke(builder.Services);
        var app = builder.Build();
        app.Use((context, next) =>
        {
            if (context.Request.Headers[From] is [{ } address])
            {
                context.Connection.RemoteIpAddress = IPAddress.Parse(address);
            }

            return next(context);
        });
        app.MapStorySync();
        app.MapStorySyncMcp();
        await app.StartAsync();
        return new TestServer(app);
    }

    /// <summary>Sends JSON and returns the response with its body.</summary>
    public async Task<(HttpResponseMessage Response, JsonElement Body)> PostAsync(
        string path, string json, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path)
        {
            Content = new StringContent(json, Encoding.UTF8, "application/json"),
        };
        return await SendAsync(request, headers);
    }

    public async Task<(HttpResponseMessage Response, JsonElement Body)> SendAsync(
        HttpRequestMessage request, params (string Name, string Value)[] headers)
    {
        foreach (var (name, value) in headers)
        {
            request.Headers.Add(name, value);
        }

        var response = await Client.SendAsync(request);
        var body = await response.Content.ReadAsByteArrayAsync();
        return (response, body.Length == 0 ? default : JsonSerializer.Deserialize<JsonElement>(body));
    }

    /// <summary>Waits until something holds while a request runs.</summary>
    public static async Task UntilAsync(Func<bool> holds, Task request)
    {
        while (!holds())
        {
            Assert.False(request.IsCompleted);
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await app.StopAsync();
        await app.DisposeAsync();
    }
}
