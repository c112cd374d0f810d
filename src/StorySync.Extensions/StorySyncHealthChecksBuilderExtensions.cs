using Microsoft.Extensions.Diagnostics.HealthChecks;
using StorySync.Extensions;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Adds StorySync's models to an application's health checks.</summary>
public static class StorySyncHealthChecksBuilderExtensions
{
    /// <summary>Adds a check named <c>storysync</c>, or <c>storysync-</c> and the key: healthy if the model is loaded or was not needed
    /// yet, degraded while it is loading, unhealthy if it could not be loaded. Its data say <c>model</c>, <c>device</c> and, once it is
    /// loaded, <c>waiting</c> (requests) and <c>available_bytes</c> (of the device's memory, with those that the process
    /// has already).</summary>
    /// <param name="builder">The health checks.</param>
    /// <param name="serviceKey">The model's key; null (default) for the model without one.</param>
    /// <param name="tags">Tags to filter checks by; null for none.</param>
    public static IHealthChecksBuilder AddStorySync(
        this IHealthChecksBuilder builder, string? serviceKey = null, IEnumerable<string>? tags = null)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return builder.Add(new HealthCheckRegistration(
            serviceKey is null ? "storysync" : $"storysync-{serviceKey}",
            provider => new StorySyncHealthCheck(provider.GetRequiredKeyedService<StorySyncModel>(serviceKey)),
            failureStatus: null,
            tags));
    }
}
