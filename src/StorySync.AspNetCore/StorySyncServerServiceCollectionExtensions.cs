using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using StorySync.AspNetCore;
using StorySync.Cluster;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Adds what StorySync's endpoints need to an application's services.</summary>
public static class StorySyncServerServiceCollectionExtensions
{
    /// <summary>Adds the services of StorySync's endpoints, which <c>MapStorySync</c> maps. Models are added by <c>AddStorySync</c> and
    /// <c>AddKeyedStorySync</c>.</summary>
    /// <param name="services">The services.</param>
    public static IServiceCollection AddStorySyncServer(this IServiceCollection services) => Add(services, _ => { });

    /// <inheritdoc cref="AddStorySyncServer(IServiceCollection)"/>
    /// <param name="services">The services.</param>
    /// <param name="configure">Sets options.</param>
    public static IServiceCollection AddStorySyncServer(this IServiceCollection services, Action<StorySyncServerOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(configure);
        return Add(services, options => options.Configure(configure));
    }

    /// <summary>Adds the services of StorySync's endpoints, as a section of the configuration describes them.</summary>
    /// <param name="services">The services.</param>
    /// <param name="section">The section; its entries have the names of <see cref="StorySyncServerOptions"/>' members, and an unknown one
    /// keeps the application from starting.</param>
    public static IServiceCollection AddStorySyncServer(this IServiceCollection services, IConfiguration section)
    {
        ArgumentNullException.ThrowIfNull(section);
        return Add(services, options => options.Bind(section, binder => binder.ErrorOnUnknownConfiguration = true));
    }

    /// <summary>Adds a server for the Model Context Protocol with the tools <c>make_story</c>, <c>add_scene</c>, <c>redraw_scene</c> and
    /// <c>export_book</c>, by which assistants draw stories with the application's <see cref="IStoryService"/>.</summary>
    /// <param name="services">The services.</param>
    /// <returns>The server, for its transport: <c>WithHttpTransport</c> and <c>MapStorySyncMcp</c>, or
    /// <c>WithStdioServerTransport</c>.</returns>
    public static IMcpServerBuilder AddStorySyncMcp(this IServiceCollection services)
    {
        Add(services, _ => { });
        return services.AddMcpServer().WithTools<StoryTools>();
    }

    private static IServiceCollection Add(IServiceCollection services, Action<OptionsBuilder<StorySyncServerOptions>> configure)
    {
        ArgumentNullException.ThrowIfNull(services);
        configure(services.AddOptions<StorySyncServerOptions>()
            .Validate(options => options.ApiKeys.All(key => key.Length > 0), "An entry of ApiKeys is empty.")
            .Validate(options => options.RequestsPerMinute > 0, "RequestsPerMinute must be at least 1.")
            .ValidateOnStart());
        services.AddProblemDetails();
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<Gate>();
        services.TryAddSingleton<ModelCatalog>();
        services.TryAddSingleton<ImageStore>();
        services.TryAddSingleton<ImageEndpoints>();
        services.TryAddSingleton<StoryBody>();
        services.TryAddSingleton<StoryEndpoints>();
        return services;
    }
}
