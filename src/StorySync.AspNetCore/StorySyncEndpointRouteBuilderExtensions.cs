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
        var options = services.GetRequiredService<IOptions<StorySyncServerOptions>>().Value;
        var gate = services.GetRequiredService<Gate>();
        var images = services.GetRequiredService<ImageEndpoints>();
        var all = endpoints.MapGroup(prefix).WithMetadata(new SizeLimit(options.MaxRequestBytes));
        images.Map(Guarded((failure, context) => failure.WriteForOpenAIAsync(context)).WithTags("Images"));
        images.MapFiles(all);
        if (services.GetRequiredService<IServiceProviderIsService>().IsService(typeof(IStoryService)))
        {
            services.GetRequiredService<StoryEndpoints>().Map(
                Guarded((failure, context) => failure.WriteProblemAsync(context)).WithTags("Stories"));
        }

        return all;

        RouteGroupBuilder Guarded(Func<Failure, HttpContext, Task> write)
        {
            var group = all.MapGroup("");
            ((IEndpointConventionBuilder)group).Add(endpoint =>
            {
                var next = endpoint.RequestDelegate!;
                endpoint.RequestDelegate = gate.Guard(next, write);
            });
            return group;
        }
    }
}
