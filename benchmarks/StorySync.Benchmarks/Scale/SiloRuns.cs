using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using StorySync.Cluster;
using StorySync.Pipelines;

namespace StorySync.Benchmarks.Scale;

/// <summary>A story drawn by processes of samples/Silo on this machine, each with one thread.</summary>
internal static class SiloRuns
{
    public static Command Command()
    {
        var redis = new Option<string>("--redis") { Required = true, Description = "The address of a Redis, such as 127.0.0.1:6379." };
        var silos = PositiveOption.Create("--silos", 2, "The most processes: 1 and so many take turns.");
        var scenes = PositiveOption.Create("--scenes", 64, "Scenes of the story, two of them anchors.");
        var steps = PositiveOption.Create("--steps", 20, "Denoising steps.");
        var rounds = PositiveOption.Create("--rounds", 3, "How often each number is measured.");
        var command = new Command("silos", "Seconds of a story of the embedded model on one process and on several, of one thread each.")
        {
            redis, silos, scenes, steps, rounds,
        };
        command.SetAction(async (parsed, _) =>
        {
            var seconds = new Dictionary<int, List<double>> { [1] = [], [parsed.GetValue(silos)] = [] };
            for (var round = 0; round < parsed.GetValue(rounds); round++)
            {
                foreach (var (count, own) in seconds)
                {
                    own.Add(await RunAsync(count, parsed.GetValue(redis)!, parsed.GetValue(scenes), parsed.GetValue(steps)));
                    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{count} silos: {own[^1]:f1} s"));
                }
            }

            var ratios = seconds[1].Zip(seconds[parsed.GetValue(silos)], (one, many) => one / many).Order().ToList();
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{parsed.GetValue(silos)} silos are {ratios[ratios.Count / 2]:f2} times as fast as one "
                + $"({ratios[0]:f2}-{ratios[^1]:f2})."));
        });
        return command;
    }

    private static async Task<double> RunAsync(int count, string redis, int scenes, int steps)
    {
        using var files = new TemporaryFolder();
        var cluster = $"storysync-{Guid.NewGuid():N}";
        var silos = Enumerable.Range(0, count).Select(i => Start(
            "--Device", "cpu", "--Logging:LogLevel:Default", "Error", "--Cluster:Redis", redis, "--Cluster:Folder", files.Path,
            "--Cluster:ClusterId", cluster, "--Cluster:Address", "127.0.0.1", "--Cluster:SiloPort", "0", "--Cluster:GatewayPort", "0"))
            .ToList();
        try
        {
            var builder = Host.CreateEmptyApplicationBuilder(new());
            builder.Services.AddStorySyncClusterClient(
                options => (options.Redis, options.Folder, options.ClusterId) = (redis, files.Path, cluster));
            using var client = builder.Build();
            await client.StartAsync();
            var stories = client.Services.GetRequiredService<IStoryService>();

            // Each process loads its model, and warms.
            await DrawAsync(2 + (8 * count));
            var seconds = await DrawAsync(scenes);
            await client.StopAsync();
            return seconds;

            async Task<double> DrawAsync(int number)
            {
                var begun = Stopwatch.GetTimestamp();
                var story = await stories.CreateAsync(new StoryDocument
                {
                    Story = new()
                    {
                        Subjects = ["a rabbit"],
                        Scenes =
                        [
                            .. Enumerable.Range(0, number).Select(i => new Scene(i % 2 == 0 ? "a rabbit standing" : "a rabbit waving")),
                        ],
                    },
                    Options = new() { Request = new() { Seed = 7, Steps = steps } },
                });
                await foreach (var update in stories.WatchAsync(story.Id))
                {
                    if (update.Status is { Error: { } error })
                    {
                        throw new InvalidDataException(error);
                    }
                }

                return Stopwatch.GetElapsedTime(begun).TotalSeconds;
            }
        }
        finally
        {
            foreach (var silo in silos)
            {
                silo.Kill();
                await silo.WaitForExitAsync();
                silo.Dispose();
            }
        }
    }

    private static Process Start(params string[] arguments)
    {
        var program = $"../../../../../samples/Silo/bin/{new DirectoryInfo(AppContext.BaseDirectory).Parent!.Name}/net10.0/Silo.dll";
        var start = new ProcessStartInfo("dotnet", [Path.GetFullPath(program, AppContext.BaseDirectory), .. arguments]);
        start.Environment["OMP_NUM_THREADS"] = "1";
        return Process.Start(start)!;
    }
}
