using System.CommandLine;
using System.Globalization;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace StorySync.Benchmarks.Load;

/// <summary>Many clients of one server in this process: what they are answered, how long it takes, and what becomes of memory.</summary>
internal static class LoadCommand
{
    /// <summary>The parts of the run after each of which memory is measured.</summary>
    private const int Parts = 6;

    private const double Mebibyte = 1 << 20;

    public static Command Create()
    {
        var clients = PositiveOption.Create("--clients", 50, "Clients that ask simultaneously.");
        var seconds = PositiveOption.Create("--seconds", 120, "How long they ask.");
        var waiting = PositiveOption.Create("--waiting", 20, "Requests that may wait; others get status 429.");
        var command = new Command("server", "Latencies of many clients of one server on the loopback address, and its memory.")
        {
            clients, seconds, waiting,
        };
        command.SetAction((parsed, _) =>
            RunAsync(parsed.GetValue(clients), TimeSpan.FromSeconds(parsed.GetValue(seconds)), parsed.GetValue(waiting)));
        return command;
    }

    private static async Task<int> RunAsync(int clients, TimeSpan duration, int waiting)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.AddStorySync("storybook", options => (options.Device, options.MaxWaiting) = ("cpu", waiting));
        builder.Services.AddStorySyncServer(options => options.RequestsPerMinute = int.MaxValue);
        await using var app = builder.Build();
        app.MapStorySync();
        await app.StartAsync();
        var server = new Uri(app.Urls.First());
        await ClientLoop.RunAsync(server, clients, TimeSpan.FromSeconds(1));

        var answers = new List<ClientLoop.Answer>();
        var memory = new List<double> { Environment.WorkingSet / Mebibyte };
        for (var part = 0; part < Parts; part++)
        {
            answers.AddRange(await ClientLoop.RunAsync(server, clients, duration / Parts));
            memory.Add(Environment.WorkingSet / Mebibyte);
        }

        Console.WriteLine($"{clients} clients, {duration.TotalSeconds} s, {waiting} requests wait");
        Console.WriteLine("status   requests   per s   median ms   95 % ms   99 % ms   longest ms");
        foreach (var group in answers.GroupBy(answer => answer.Status).OrderBy(group => group.Key))
        {
            double[] sorted = [.. group.Select(answer => answer.Latency.TotalMilliseconds).Order()];
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{(int)group.Key,6} {sorted.Length,10} "
                + $"{sorted.Length / duration.TotalSeconds,7:F1} {At(sorted, 0.5),11:F1} {At(sorted, 0.95),9:F1} {At(sorted, 0.99),9:F1} "
                + $"{sorted[^1],12:F1}"));
        }

        Console.WriteLine($"resident MiB: {string.Join(" → ", memory.Select(one => one.ToString("F0", CultureInfo.InvariantCulture)))}");
        return answers.All(answer => answer.Status is HttpStatusCode.OK or HttpStatusCode.TooManyRequests) ? 0 : 1;
    }

    private static double At(double[] sorted, double share) => sorted[(int)(share * (sorted.Length - 1))];
}
