using System.Diagnostics.CodeAnalysis;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using StorySync.AspNetCore;
using StorySync.Cluster;

namespace Microsoft.AspNetCore.Builder;

/// <summary>Adds StorySync's endpoints to an application.</summary>
public static class StorySyncEndpointRouteBuilderExtensions
{
    /// <summary>Maps images and models in the way of OpenAI's API, under <c>/v1</c>, and stories, if the application has an
    /// <see cref="IStoryService"/> (<c>AddStorySyncCluster</c>). Who may call them, and how much a request may ask
    /// for, is in <see cref="StorySyncServerOptions"/>.</summary>
    /// <param name="endpoints">The application, whose services have had <c>AddStorySyncServer</c>.</param>
    /// <param name="prefix">The path that all endpoints are under. Default none.</param>
    /// <returns>The endpoints, for further conventions, such as an authorization policy.</returns>
    public static IEndpointConventionBuilder MapStorySync(
        this IEndpointRouteBuilder endpoints, [StringSyntax("Route")] string prefix = "")
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        var services = endpoints.ServiceProvider;
        var all = endpoints.MapGroup(prefix).WithMetadata(SizeLimitOf(services));
        var images = services.GetRequiredService<ImageEndpoints>();
        images.Map(Guarded(all, (failure, context) => failure.WriteForOpenAIAsync(context)).WithTags("Images"));
        images.MapFiles(all);
        if (services.GetRequiredService<IServiceProviderIsService>().IsService(typeof(IStoryService)))
        {
            services.GetRequiredService<StoryEndpoints>().Map(
                Guarded(all, (failure, context) => failure.WriteProblemAsync(context)).WithTags("Stories"));
        }

        return all;
    }

    /// <summary>Maps the server for the Model Context Protocol over HTTP, for the same callers as
    /// <see cref="MapStorySync"/>.</summary>
    /// <param name="endpoints">The application, whose services have had <c>AddStorySyncMcp().WithHttpTransport()</c>.</param>
    /// <param name="pattern">The path. Default <c>/mcp</c>.</param>
    /// <returns>The endpoints, for further conventions.</returns>
    public static IEndpointConventionBuilder MapStorySyncMcp(
        this IEndpointRouteBuilder endpoints, [StringSyntax("Route")] string pattern = "/mcp")
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        var all = endpoints.MapGroup("").WithMetadata(SizeLimitOf(endpoints.ServiceProvider));
        Guarded(all, (failure, context) => failure.WriteProblemAsync(context)).MapMcp(pattern);
        return all;
    }

    private static SizeLimit SizeLimitOf(IServiceProvider services) =>
        new(services.GetRequiredService<IOptions<StorySyncServerOptions>>().Value.MaxRequestBytes);

    private static RouteGroupBuilder Guarded(IEndpointRouteBuilder routes, Func<Failure, HttpContext, Task> write)
    {
        var gate = routes.ServiceProvider.GetRequiredService<Gate>();
        var group = routes.MapGroup("");
        ((IEndpointConventionBuilder)group).Add(endpoint =>
        {
            var next = endpoint.RequestDelegate!;
            endpoint.RequestDelegate = gate.Guard(next, write);
        });
        return group;
    }
}
