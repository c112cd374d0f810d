using System.Net.Http.Json;
using System.Text.Json;
using StorySync.Samples;
using StorySync.TestSupport;

namespace StorySync.Tool.Tests;

public class ServeTests
{
    [Fact]
    public async Task A_server_is_told_draws_and_ends_when_it_is_canceled()
    {
        using var folder = new TemporaryFolder();
        using var ending = new CancellationTokenSource();
        var error = new FirstLine();
        var serving = CommandLine.InvokeAsync(
            ToolCommand.Create(),
            ["serve", "--device", "cpu", "--url", "http://127.0.0.1:0", "--folder", folder.Path],
            TextWriter.Null,
            error,
            ending.Token);
        var line = await (await Task.WhenAny(error.Line, FirstLine.Of(serving)));
        using var client = new HttpClient { BaseAddress = new Uri(line.Split(" at ")[1].Split(';')[0]) };
        var response = await client.PostAsJsonAsync("/v1/images/generations", new { prompt = "a fox", num_inference_steps = 1 });
        var answer = await response.Content.ReadFromJsonAsync<JsonElement>();
        await ending.CancelAsync();

        Assert.Equal(1, answer.GetProperty("data").GetArrayLength());
        Assert.Equal(0, await serving);
    }

    /// <summary>Gives the first line that is written.</summary>
    private sealed class FirstLine : StringWriter
    {
        private readonly TaskCompletionSource<string> line = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<string> Line => line.Task;

        public static async Task<string> Of(Task<int> ended) => throw new InvalidOperationException($"It ended with {await ended}.");

        public override Task WriteLineAsync(string? value)
        {
            line.TrySetResult(value ?? "");
            return Task.CompletedTask;
        }
    }
}
