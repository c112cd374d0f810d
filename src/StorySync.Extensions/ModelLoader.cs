using Microsoft.Extensions.Hosting;

namespace StorySync.Extensions;

/// <summary>Loads a model when the application starts, if its options say so.</summary>
internal sealed class ModelLoader(StorySyncModel model, StorySyncModelOptions options) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken) =>
        options.LoadAtStart ? model.LoadAsync(cancellationToken) : Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
