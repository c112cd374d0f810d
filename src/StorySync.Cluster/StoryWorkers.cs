using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace StorySync.Cluster;

/// <summary>The workers of this process, one on each model.</summary>
internal sealed class StoryWorkers(
    ClusterModels models, IGrainFactory grains, StoryFiles files, ILogger<StoryWorker> logger) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken) =>
        await Task.WhenAll(models.All.Select(model => Task.Run(async () =>
        {
            using var worker = new StoryWorker(model, grains, files, logger);
            await worker.RunAsync(stoppingToken).ConfigureAwait(false);
        }))).ConfigureAwait(false);
}
