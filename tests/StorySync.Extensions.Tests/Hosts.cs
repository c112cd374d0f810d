using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Testing;
using StorySync.Pipelines;

namespace StorySync.Extensions.Tests;

/// <summary>Applications, as a program sets them up.</summary>
internal static class Hosts
{
    /// <summary>Gets a request that is quickly served.</summary>
    public static GenerationRequest Quick { get; } = new() { Prompts = ["a cat"], Steps = 2, Seed = 3, Height = 64, Width = 64 };

    /// <summary>Builds a host with services and entries of the configuration.</summary>
    public static IHost Build(Action<IServiceCollection, IConfiguration> add, Dictionary<string, string?>? entries = null)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Configuration.AddInMemoryCollection(entries ?? []);
        builder.Services.AddLogging(logging => logging.SetMinimumLevel(LogLevel.Debug).AddFakeLogging());
        add(builder.Services, builder.Configuration);
        return builder.Build();
    }

    /// <summary>Builds a host with the embedded model on the CPU.</summary>
    /// <param name="configure">Sets further options.</param>
    /// <param name="log">Gets each entry of the log while it is written.</param>
    public static IHost WithStorybook(Action<StorySyncModelOptions>? configure = null, Action<string>? log = null) => Build((services, _) =>
    {
        services.Configure<FakeLogCollectorOptions>(options => options.OutputSink = log);
        services.AddStorySync("storybook", options =>
        {
            options.Device = "cpu";
            configure?.Invoke(options);
        });
        services.AddHealthChecks().AddStorySync();
    });

    public static StorySyncModel Model(this IHost host, string? key = null) => host.Services.GetRequiredKeyedService<StorySyncModel>(key);

    /// <summary>What the library has written to the log, without the warnings of pipelines.</summary>
    public static IReadOnlyList<FakeLogRecord> Log(this IHost host) =>
        [.. host.Services.GetFakeLogCollector().GetSnapshot().Where(record => record.Category == typeof(StorySyncModel).FullName)];
}
