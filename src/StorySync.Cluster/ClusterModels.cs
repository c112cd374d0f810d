using Microsoft.Extensions.DependencyInjection;
using StorySync.Extensions;
using StorySync.Pipelines;

namespace StorySync.Cluster;

/// <summary>The models of a silo, which are those of every silo.</summary>
internal sealed class ClusterModels(IServiceProvider services)
{
    /// <summary>Gets the models; several of one name are on several devices.</summary>
    public IReadOnlyList<StorySyncModel> All { get; } =
        [.. services.GetServices<StorySyncModel>(), .. services.GetKeyedServices<StorySyncModel>(KeyedService.AnyKey)];

    public IEnumerable<string> Names => All.Select(model => model.Name).Distinct();

    /// <summary>Returns the name of a model that there is.</summary>
    /// <param name="asked">The name; null for the first.</param>
    /// <exception cref="ArgumentException">There is none.</exception>
    public string NameOf(string? asked) =>
        Names.FirstOrDefault(name => asked is null || name == asked)
            ?? throw new ArgumentException(asked is null
                ? "The cluster has no model; add one by AddStorySync to each silo."
                : $"Model is '{asked}'; the cluster has {string.Join(", ", Names.Select(name => $"'{name}'"))}.");

    /// <summary>Checks what only a model knows, if it is loaded here. Otherwise the worker that draws finds it.</summary>
    /// <param name="document">The story.</param>
    /// <param name="bank">The path of the bank; null where there is none yet.</param>
    /// <param name="scenes">The scenes that are to be drawn with the bank.</param>
    /// <exception cref="ArgumentException">The story or an option is invalid.</exception>
    public async Task CheckAsync(StoryDocument document, string? bank, IEnumerable<Scene> scenes)
    {
        if (All.FirstOrDefault(model => model.Name == document.Model && model.IsLoaded) is not { } model)
        {
            return;
        }

        var pipeline = await model.LoadAsync();
        await Task.Run(() =>
        {
            if (bank is null)
            {
                pipeline.PlanMemory(document.Story, document.Options);
            }
            else if (scenes.ToArray() is { Length: > 0 } further)
            {
                using var anchors = StoryBank.Load(bank);
                pipeline.PlanMemory(anchors, further, document.Options! with { Anchors = null, BankForm = null, BankKeysDtype = null });
            }
        });
    }
}
