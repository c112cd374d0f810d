using System.Net;
using StorySync.Benchmarks.Load;
using StorySync.TestSupport;

namespace StorySync.AspNetCore.Tests;

/// <summary>Fifty clients for some seconds; the benchmark <c>server</c> has them for minutes.</summary>
[Collection(typeof(AloneCollection))]
public class LoadTests
{
    [Fact]
    public async Task Many_clients_get_images_or_are_asked_to_come_again_and_leave_nothing()
    {
        await using var server = await TestServer.StartAsync(
            options => options.RequestsPerMinute = int.MaxValue, model => model.MaxWaiting = 10);
        var answers = new List<ClientLoop.Answer>();
        LiveTensors.AssertNoneLeft(() => answers.AddRange(
            ClientLoop.RunAsync(server.Client.BaseAddress!, clients: 50, TimeSpan.FromSeconds(2)).GetAwaiter().GetResult()));

        Assert.Equal(
            [HttpStatusCode.OK, HttpStatusCode.TooManyRequests], answers.Select(answer => answer.Status).Distinct().Order());
        Assert.Equal(0, server.Model.QueueLength);
    }
}
