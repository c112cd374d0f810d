using Microsoft.Extensions.Diagnostics.HealthChecks;
using StorySync.Pipelines;

namespace StorySync.Extensions;

/// <summary>Tells whether a model is loaded, on which device, and how much memory there is.</summary>
internal sealed class StorySyncHealthCheck(StorySyncModel model) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        var data = new Dictionary<string, object> { ["model"] = model.Name, ["device"] = model.Device };
        return Task.FromResult(model.Loading switch
        {
            null => HealthCheckResult.Healthy($"{model.Name} will be loaded when it is first used.", data),
            { IsCompletedSuccessfully: true, Result: var pipeline } => Loaded(pipeline),
            { IsCompleted: true, Exception: var exception } => new HealthCheckResult(
                context.Registration.FailureStatus, $"{model.Name} could not be loaded.", exception?.InnerException, data),
            _ => HealthCheckResult.Degraded($"{model.Name} is loading.", data: data),
        });

        HealthCheckResult Loaded(DiffusionPipeline pipeline)
        {
            data["device"] = pipeline.Device.ToString();
            data["waiting"] = model.QueueOf(pipeline).Waiting;
            if (AvailableMemory.Of(pipeline.Device) is { } bytes)
            {
                data["available_bytes"] = bytes;
            }

            return HealthCheckResult.Healthy($"{model.Name} is loaded on {pipeline.Device}.", data);
        }
    }
}
