using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;
using StorySync.TestSupport;

namespace StorySync.Cluster.Tests;

/// <summary>Processes of samples/Silo with a Redis of their own, and a client of them in this process.</summary>
internal sealed class RunningCluster : IAsyncDisposable
{
    /// <summary>What loses a process quickly.</summary>
    private static readonly TimeSpan WorkerTimeout = TimeSpan.FromSeconds(3);

    private readonly TemporaryFolder folder = new();
    private readonly Dictionary<int, Process> silos = [];
    private readonly int port = FreePort();
    private Process? redis;
    private IHost? client;

    public IStoryService Stories => client!.Services.GetRequiredService<IStoryService>();

    public static async Task<RunningCluster> StartAsync(int silos)
    {
        Assert.SkipUnless(Programs.Has("redis-server"), "There is no redis-server.");
        var cluster = new RunningCluster();
        try
        {
            await cluster.StartRedisAsync();
            cluster.StartSilos(silos);
            await cluster.ConnectAsync();
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    public async Task StartRedisAsync()
    {
        redis = Start(
            "redis-server", ["--port", $"{port}", "--bind", "127.0.0.1", "--dir", folder.Path, "--save", "", "--appendonly", "yes"]);
        for (var isUp = false; !isUp;)
        {
            using var socket = new TcpClient();
            try
            {
                await socket.ConnectAsync(IPAddress.Loopback, port);
                isUp = true;
            }
            catch (SocketException) when (!redis.HasExited)
            {
                await Task.Delay(50);
            }
        }
    }

    /// <summary>Ends Redis as its service does.</summary>
    public async Task StopRedisAsync()
    {
        Process.Start("kill", ["-TERM", $"{redis!.Id}"]).WaitForExit();
        await redis.WaitForExitAsync();
    }

    public void StartSilos(int count)
    {
        for (var i = 0; i < count; i++)
        {
            var own = FreePort();
            silos.Add(own, Start("dotnet",
            [
                Programs.Silo, "--Device", "cpu", "--Logging:LogLevel:Default", "Warning",
                .. Settings.SelectMany(entry => (string[])[$"--Cluster:{entry.Key}", entry.Value]), "--Cluster:SiloPort", $"{own}",
            ]));
        }
    }

    /// <summary>Ends all silos as a loss of power does.</summary>
    public void KillSilos() => silos.Keys.ToList().ForEach(Kill);

    /// <summary>Ends the silo that has a story's grain.</summary>
    public async Task KillSiloOfAsync(string story)
    {
        var grains = client!.Services.GetRequiredService<IGrainFactory>();
        var address = await grains.GetGrain<IManagementGrain>(0).GetActivationAddress(grains.GetGrain<IStoryGrain>(story));
        Kill(address!.Endpoint.Port);
    }

    public async ValueTask DisposeAsync()
    {
        if (client is not null)
        {
            using var time = new CancellationTokenSource(TimeSpan.FromSeconds(2));
            await client.StopAsync(time.Token);
            client.Dispose();
        }

        KillSilos();
        redis?.Kill();
        redis?.WaitForExit();
        folder.Dispose();
    }

    private Dictionary<string, string> Settings => new()
    {
        [nameof(StorySyncClusterOptions.Redis)] = $"127.0.0.1:{port}",
        [nameof(StorySyncClusterOptions.Folder)] = folder.PathOf("stories"),
        [nameof(StorySyncClusterOptions.Address)] = "127.0.0.1",
        [nameof(StorySyncClusterOptions.GatewayPort)] = "0",
        [nameof(StorySyncClusterOptions.WorkerTimeout)] = $"{WorkerTimeout}",
    };

    private void Kill(int silo)
    {
        silos.Remove(silo, out var process);
        process!.Kill();
        process.WaitForExit();
    }

    private async Task ConnectAsync()
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Services.AddLogging(logging => logging.SetMinimumLevel(LogLevel.Warning));
        builder.Services.AddStorySyncClusterClient(options =>
        {
            (options.Redis, options.Folder, options.WorkerTimeout) = (Settings["Redis"], Settings["Folder"], WorkerTimeout);
        });
        client = builder.Build();
        await client.StartAsync();
    }

    private static Process Start(string program, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["OMP_NUM_THREADS"] = "1";
        var process = Process.Start(start)!;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return process;
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
