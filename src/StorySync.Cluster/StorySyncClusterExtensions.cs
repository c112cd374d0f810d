using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Serialization;
using Orleans.Storage;
using StackExchange.Redis;
using StorySync.Cluster;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Adds StorySync's clusters to an application.</summary>
public static class StorySyncClusterExtensions
{
    /// <summary>Adds a silo to the application that draws with its models (<c>AddStorySync</c>), and <see cref="IStoryService"/>. Every
    /// silo of a cluster has the same models.</summary>
    /// <param name="services">The services.</param>
    /// <param name="configure">Sets options; null for a cluster of this process alone.</param>
    public static IServiceCollection AddStorySyncCluster(
        this IServiceCollection services, Action<StorySyncClusterOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        var options = Read(configure);
        return services.AddOrleans(silo =>
        {
            if (options.Redis is { } redis)
            {
                silo.UseRedisClustering(own => own.ConfigurationOptions = ConfigurationOptions.Parse(redis));
                silo.AddRedisGrainStorage(
                    StorySyncClusterOptions.StorageName, own => own.ConfigurationOptions = ConfigurationOptions.Parse(redis));
                var (siloPort, gatewayPort) = (PortOr(options.SiloPort), PortOr(options.GatewayPort));
                if (options.Address is { } address)
                {
                    silo.ConfigureEndpoints(IPAddress.Parse(address), siloPort, gatewayPort);
                }
                else
                {
                    silo.ConfigureEndpoints(siloPort, gatewayPort);
                }

                silo.Configure<ClusterOptions>(own => (own.ClusterId, own.ServiceId) = (options.ClusterId, options.ClusterId));
                silo.Configure<ClusterMembershipOptions>(own =>
                {
                    // A silo is lost after three probes; one that finds lost ones in the table waits for as long before it joins.
                    own.ProbeTimeout = own.IAmAliveTablePublishTimeout = options.WorkerTimeout / 3;
                    own.MinProbeTimeout = own.ProbeTimeout / 2;
                });
                silo.Configure<SiloMessagingOptions>(own => own.ResponseTimeout = ResponseTimeout(options));
            }
            else
            {
                silo.UseLocalhostClustering(PortOr(0), gatewayPort: 0, serviceId: options.ClusterId, clusterId: options.ClusterId);
                silo.Services.AddKeyedSingleton<IGrainStorage>(StorySyncClusterOptions.StorageName, (provider, _) => new SqliteGrainStorage(
                    Path.Combine(options.Folder, "stories.db"), provider.GetRequiredService<IGrainStorageSerializer>()));
                silo.AddStartupTask((provider, _) =>
                {
                    // Whatever is wrong with the file ends the start, not the first story.
                    provider.GetRequiredKeyedService<IGrainStorage>(StorySyncClusterOptions.StorageName);
                    return Task.CompletedTask;
                });
            }

            silo.AddStorySyncWorkers(configure);
        });
    }

    /// <summary>Adds <see cref="IStoryService"/> to an application that draws nothing, as a client of a cluster in
    /// <see cref="StorySyncClusterOptions.Redis"/>, with whose silos it shares the folder. It starts when there is a silo.</summary>
    /// <param name="services">The services.</param>
    /// <param name="configure">Sets options.</param>
    /// <exception cref="ArgumentException">The options name no Redis.</exception>
    public static IServiceCollection AddStorySyncClusterClient(
        this IServiceCollection services, Action<StorySyncClusterOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(configure);
        var options = Read(configure);
        var redis = options.Redis
            ?? throw new ArgumentException("Redis is null; a client finds its cluster there, so give the address that the silos have.");
        AddShared(services, configure);
        return services.AddOrleansClient(client => client
            .UseRedisClustering(own => own.ConfigurationOptions = ConfigurationOptions.Parse(redis))
            .Configure<ClusterOptions>(own => (own.ClusterId, own.ServiceId) = (options.ClusterId, options.ClusterId))
            .Configure<GatewayOptions>(own => own.GatewayListRefreshPeriod = options.WorkerTimeout / 3)
            .Configure<ClientMessagingOptions>(own => own.ResponseTimeout = ResponseTimeout(options))
            .UseConnectionRetryFilter(async (_, token) =>
            {
                // The silos may start later than this process.
                await Task.Delay(TimeSpan.FromSeconds(1), token).ConfigureAwait(false);
                return true;
            }));
    }

    /// <summary>Adds workers and <see cref="IStoryService"/> to a silo whose clustering, and whose grain storage
    /// <see cref="StorySyncClusterOptions.StorageName"/>, are set up by the caller.</summary>
    /// <param name="silo">The silo.</param>
    /// <param name="configure">Sets options; null for the defaults.</param>
    public static ISiloBuilder AddStorySyncWorkers(this ISiloBuilder silo, Action<StorySyncClusterOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(silo);
        AddShared(silo.Services, configure);
        silo.Services.AddSingleton<ClusterModels>();
        silo.Services.AddHostedService<StoryWorkers>();
        return silo;
    }

    /// <summary>What silos and clients have.</summary>
    private static void AddShared(IServiceCollection services, Action<StorySyncClusterOptions>? configure)
    {
        services.AddOptions<StorySyncClusterOptions>().Configure(configure ?? (_ => { }))
            .Validate(own => own.MaxQueuedScenes >= 1, "MaxQueuedScenes must be at least 1.")
            .Validate(own => own.WorkerTimeout >= TimeSpan.FromSeconds(1), "WorkerTimeout must be at least one second.")
            .ValidateOnStart();
        services.Configure<ExceptionSerializationOptions>(own => own.SupportedNamespacePrefixes.Add(nameof(StorySync)));
        services.TryAddSingleton(provider => new StoryFiles(provider.GetRequiredService<IOptions<StorySyncClusterOptions>>().Value.Folder));
        services.TryAddSingleton<IStoryService, StoryService>();
    }

    private static StorySyncClusterOptions Read(Action<StorySyncClusterOptions>? configure)
    {
        var options = new StorySyncClusterOptions();
        configure?.Invoke(options);
        return options;
    }

    /// <summary>After this time a call that a lost process had is made again: long after the process was found to be lost.</summary>
    private static TimeSpan ResponseTimeout(StorySyncClusterOptions options) => options.WorkerTimeout * 2;

    private static int PortOr(int port)
    {
        if (port != 0)
        {
            return port;
        }

        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
