using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using StorySync.Diffusion.Weights;
using StorySync.Pipelines;
using StorySync.TestSupport;

namespace StorySync.Extensions.Tests;

/// <summary>One generation at a time has a device.</summary>
public class QueueTests
{
    [Fact]
    public async Task A_request_waits_for_the_one_before_and_can_be_cancelled_meanwhile()
    {
        using var host = Hosts.WithStorybook();
        using var busy = new Busy(host.Model());
        await busy.Started;
        using var cancellation = new CancellationTokenSource();
        var cancelled = host.Model().GenerateAsync(Hosts.Quick, cancellationToken: cancellation.Token);
        var waiting = host.Model().GenerateAsync(Hosts.Quick);
        await Until(async () => (int)(await Health(host)).Data["waiting"] == 2);

        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled);

        Assert.Equal(1, (await Health(host)).Data["waiting"]);
        Assert.False(waiting.IsCompleted);
        (await busy.Finish()).Dispose();
        using var result = await waiting;
        Assert.Single(result.Images);
        Assert.Equal(0, (await Health(host)).Data["waiting"]);
        Assert.Contains(host.Log(), record =>
            record.Message == "storybook: a request waits for cpu, where 2 wait.");
        Assert.Equal(2, host.Log().Count(record => record.Message.StartsWith("storybook has generated 1 ", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task More_requests_than_may_wait_are_refused()
    {
        using var host = Hosts.WithStorybook(options => options.MaxWaiting = 0);
        using var busy = new Busy(host.Model());
        await busy.Started;

        var error = await Assert.ThrowsAsync<QueueFullException>(() => host.Model().GenerateAsync(Hosts.Quick));

        Assert.Contains("0 requests wait for cpu already", error.Message, StringComparison.Ordinal);
        (await busy.Finish()).Dispose();
        (await host.Model().GenerateAsync(Hosts.Quick)).Dispose();
    }

    [Fact]
    public async Task Models_on_one_device_wait_for_each_other()
    {
        using var host = Hosts.Build((services, _) => services
            .AddKeyedStorySync("a", "storybook", options => options.Device = "cpu")
            .AddKeyedStorySync("b", "storybook", options => (options.Device, options.MaxWaiting) = ("cpu", 0)));
        using var busy = new Busy(host.Model("a"));
        await busy.Started;

        await Assert.ThrowsAsync<QueueFullException>(() => host.Model("b").GenerateAsync(Hosts.Quick));

        (await busy.Finish()).Dispose();
        (await host.Model("b").GenerateAsync(Hosts.Quick)).Dispose();
    }

    [Fact]
    public async Task What_cannot_be_generated_is_refused_without_waiting()
    {
        using var host = Hosts.WithStorybook();
        using var busy = new Busy(host.Model());
        await busy.Started;
        var huge = Hosts.Quick with { Height = GenerationRequest.MaxSide, Width = GenerationRequest.MaxSide };
        var story = new Story { Subjects = ["a cat"], Scenes = [new("a cat")] };

        await Assert.ThrowsAsync<ArgumentException>(() => host.Model().GenerateAsync(Hosts.Quick with { Steps = 0 }));
        await Assert.ThrowsAsync<InsufficientMemoryException>(() => host.Model().GenerateAsync(huge));
        await Assert.ThrowsAsync<InsufficientMemoryException>(() =>
            host.Model().GenerateStoryAsync(story, new StoryOptions { Request = huge with { Prompts = [] } }));
        (await busy.Finish()).Dispose();
    }

    [Fact]
    public async Task A_story_is_the_pipelines()
    {
        using var host = Hosts.WithStorybook();
        var story = new Story { Subjects = ["a bear"], Scenes = [new("a bear standing"), new("a bear waving")] };
        var options = new StoryOptions { Request = Hosts.Quick with { Prompts = [] } };
        using var result = await host.Model().GenerateStoryAsync(story, options);
        using var own = (await host.Model().LoadAsync()).GenerateStory(story, options);

        Assert.Equal(own.Scenes.Select(s => s.Image.Pixels.ToArray()), result.Scenes.Select(s => s.Image.Pixels.ToArray()));
    }

    [Fact]
    public async Task A_host_that_is_disposed_ends_what_is_under_way_and_what_waits()
    {
        var host = Hosts.WithStorybook();
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var running = host.Model().GenerateAsync(Hosts.Quick with { Steps = 1000, OnStep = _ => started.TrySetResult() });
        await started.Task;
        var waiting = host.Model().GenerateAsync(Hosts.Quick);
        host.Dispose();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => running);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => waiting);
    }

    [Fact]
    public async Task Health_tells_whether_the_model_is_loaded_and_where()
    {
        using var host = Hosts.WithStorybook();
        var before = await Health(host);
        await host.Model().LoadAsync();
        var after = await Health(host);

        Assert.Equal((HealthStatus.Healthy, "storybook will be loaded when it is first used."), (before.Status, before.Description));
        Assert.Equal((HealthStatus.Healthy, "storybook is loaded on cpu."), (after.Status, after.Description));
        Assert.Equal(("storybook", "cpu"), ((string)after.Data["model"], (string)after.Data["device"]));
        Assert.True((long)after.Data["available_bytes"] > 0);
    }

    [Fact]
    public async Task Health_is_degraded_while_the_model_is_loading()
    {
        using var loading = new ManualResetEventSlim();
        using var goOn = new ManualResetEventSlim();
        using var host = Hosts.WithStorybook(log: message =>
        {
            if (message.Contains("loading unet", StringComparison.Ordinal))
            {
                loading.Set();
                goOn.Wait();
            }
        });
        var loaded = host.Model().LoadAsync();
        loading.Wait(TestContext.Current.CancellationToken);
        var during = await Health(host);
        goOn.Set();
        await loaded;

        Assert.Equal((HealthStatus.Degraded, "storybook is loading."), (during.Status, during.Description));
        Assert.False(during.Data.ContainsKey("waiting"));
        Assert.Equal(HealthStatus.Healthy, (await Health(host)).Status);
    }

    [Fact]
    public async Task Health_is_bad_when_the_model_could_not_be_loaded_until_it_is_tried_again()
    {
        using var folder = new TemporaryFolder();
        var source = ModelFolder.Open("storybook").Path;
        File.Copy(Path.Combine(source, "model_index.json"), folder.PathOf("model_index.json"));
        using var host = Hosts.Build((services, _) =>
        {
            services.AddStorySync(folder.Path, options => options.Device = "cpu");
            services.AddHealthChecks().AddStorySync();
        });
        await Assert.ThrowsAsync<ModelFileException>(() => host.Model().LoadAsync());
        var failed = await Health(host);

        Assert.Equal((HealthStatus.Unhealthy, $"{folder.Path} could not be loaded."), (failed.Status, failed.Description));
        Assert.IsType<ModelFileException>(failed.Exception);
        Assert.Equal("cpu", failed.Data["device"]);
    }

    private static async Task<HealthReportEntry> Health(IHost host) =>
        (await host.Services.GetRequiredService<HealthCheckService>().CheckHealthAsync()).Entries["storysync"];

    private static async Task Until(Func<Task<bool>> condition)
    {
        while (!await condition())
        {
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }
    }

    /// <summary>A generation that has the device until it is told to finish.</summary>
    private sealed class Busy : IDisposable
    {
        private readonly ManualResetEventSlim goOn = new();
        private readonly TaskCompletionSource started = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly Task<GenerationResult> running;

        public Busy(StorySyncModel model) => running = model.GenerateAsync(Hosts.Quick with
        {
            OnStep = _ =>
            {
                started.TrySetResult();
                goOn.Wait();
            },
        });

        public Task Started => started.Task;

        public Task<GenerationResult> Finish()
        {
            goOn.Set();
            return running;
        }

        public void Dispose() => goOn.Set();
    }
}
