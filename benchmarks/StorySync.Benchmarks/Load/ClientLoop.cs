using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Text;

namespace StorySync.Benchmarks.Load;

/// <summary>Clients that ask a server for images, each for one after the other, and come again when they are told to.</summary>
internal static class ClientLoop
{
    private const string Body = """{"prompt":"a red fox in the snow","size":"64x64","num_inference_steps":2}""";

    /// <summary>The longest time that a client waits, whatever it is told: the server is to be busy.</summary>
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(1);

    /// <summary>Runs the clients.</summary>
    /// <param name="server">The server's address.</param>
    /// <param name="clients">The number of clients.</param>
    /// <param name="duration">How long each begins further requests.</param>
    public static async Task<IReadOnlyList<Answer>> RunAsync(Uri server, int clients, TimeSpan duration)
    {
        using var http = new HttpClient { BaseAddress = server, Timeout = Timeout.InfiniteTimeSpan };
        var answers = new ConcurrentQueue<Answer>();
        var begun = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, clients).Select(_ => Task.Run(async () =>
        {
            while (Stopwatch.GetElapsedTime(begun) < duration)
            {
                var asked = Stopwatch.GetTimestamp();
                using var content = new StringContent(Body, Encoding.UTF8, "application/json");
                using var response = await http.PostAsync(new Uri("v1/images/generations", UriKind.Relative), content);
                await response.Content.ReadAsByteArrayAsync();
                answers.Enqueue(new Answer(response.StatusCode, Stopwatch.GetElapsedTime(asked)));
                if (response.StatusCode == HttpStatusCode.TooManyRequests)
                {
                    var pause = response.Headers.RetryAfter?.Delta ?? TimeSpan.Zero;
                    await Task.Delay(pause < LongestPause ? pause : LongestPause);
                }
            }
        })));
        return [.. answers];
    }

    /// <summary>What came back.</summary>
    internal sealed record Answer(HttpStatusCode Status, TimeSpan Latency);
}
