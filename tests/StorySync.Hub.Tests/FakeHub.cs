using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace StorySync.Hub.Tests;

/// <summary>A server on loopback that answers as the Hugging Face Hub documents, unless a test has it do otherwise.</summary>
internal sealed class FakeHub : IAsyncDisposable
{
    public const string Model = "painter/fox";
    public const string Commit = "0123456789abcdef0123456789abcdef01234567";

    private readonly WebApplication app;
    private readonly ConcurrentDictionary<string, int> asked = new();

    private FakeHub(WebApplication app) => this.app = app;

    /// <summary>The files of the repository; those from 1,000 bytes on are large.</summary>
    public Dictionary<string, byte[]> Files { get; } = [];

    /// <summary>Answers a request in place of the server; false where the server should.</summary>
    public Func<HttpContext, string, Task<bool>> Intercept { get; set; } = (_, _) => Task.FromResult(false);

    /// <summary>Changes what the list says of a file.</summary>
    public Func<string, byte[], (long Size, string Hash)>? Listed { get; set; }

    /// <summary>The requests for files: path, range, token, in order.</summary>
    public ConcurrentQueue<(string Path, string Range, string Token)> Requests { get; } = new();

    public Uri Address => new(app.Urls.Single());

    public static async Task<FakeHub> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        var hub = new FakeHub(app);
        app.Run(hub.AnswerAsync);
        await app.StartAsync();
        return hub;
    }

    /// <summary>How often a file was asked for.</summary>
    public int Asked(string path) => asked.GetValueOrDefault(path);

    public static bool IsLarge(byte[] content) => content.Length >= 1000;

    public static string HashOf(byte[] content)
    {
        using var hash = IncrementalHash.CreateHash(IsLarge(content) ? HashAlgorithmName.SHA256 : HashAlgorithmName.SHA1);
        hash.AppendData(IsLarge(content) ? [] : Encoding.ASCII.GetBytes($"blob {content.Length}\0"));
        hash.AppendData(content);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    public static async Task SendAsync(HttpContext context, byte[] content, int? breakAfter = null)
    {
        var from = context.Request.Headers.Range.ToString() is { Length: > 0 } range
            ? int.Parse(range["bytes=".Length..^1], CultureInfo.InvariantCulture) : 0;
        if (from > 0)
        {
            context.Response.StatusCode = StatusCodes.Status206PartialContent;
            context.Response.Headers.ContentRange = $"bytes {from}-{content.Length - 1}/{content.Length}";
        }

        context.Response.ContentLength = content.Length - from;
        var sent = Math.Min(breakAfter ?? int.MaxValue, content.Length - from);
        await context.Response.Body.WriteAsync(content.AsMemory(from, sent));
        await context.Response.Body.FlushAsync();
        if (sent < content.Length - from)
        {
            // What was flushed is on its way through the socket; an abort would take it back.
            await Task.Delay(100);
            context.Abort();
        }
    }

    public async ValueTask DisposeAsync() => await app.DisposeAsync();

    private async Task AnswerAsync(HttpContext context)
    {
        var path = context.Request.Path.Value!;
        var file = path.StartsWith($"/{Model}/resolve/{Commit}/", StringComparison.Ordinal) ? path[$"/{Model}/resolve/{Commit}/".Length..]
            : path.StartsWith("/cdn/", StringComparison.Ordinal) ? path["/cdn/".Length..]
            : null;
        if (file is not null)
        {
            Requests.Enqueue((path, context.Request.Headers.Range.ToString(), context.Request.Headers.Authorization.ToString()));
            asked.AddOrUpdate(file, 1, (_, count) => count + 1);
        }

        if (await Intercept(context, file ?? path))
        {
            return;
        }

        if (path.StartsWith($"/api/models/{Model}/revision/", StringComparison.Ordinal) && context.Request.Query["blobs"] == "true")
        {
            await context.Response.WriteAsync(Listing());
        }
        else if (file is not null && Files.TryGetValue(file, out var content))
        {
            await SendAsync(context, content);
        }
        else
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
        }
    }

    private string Listing() => JsonSerializer.Serialize(new
    {
        id = Model,
        sha = Commit,
        siblings = Files.Select(file =>
        {
            var (size, hash) = Listed?.Invoke(file.Key, file.Value) ?? (file.Value.Length, HashOf(file.Value));
            return IsLarge(file.Value)
                ? (object)new { rfilename = file.Key, size, blobId = new string('0', 40), lfs = new { sha256 = hash, size } }
                : new { rfilename = file.Key, size, blobId = hash };
        }),
    });
}
