using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using StorySync.Extensions;

namespace StorySync.AspNetCore;

/// <summary>The application's models by the names that clients know: their keys, and of the one without a key, its own name.</summary>
internal sealed class ModelCatalog(IServiceProvider services)
{
    private readonly Lazy<IReadOnlyList<StorySyncModel>> models = new(() =>
        [.. services.GetServices<StorySyncModel>(), .. services.GetKeyedServices<StorySyncModel>(KeyedService.AnyKey)]);

    public IEnumerable<string> Names => models.Value.Select(NameOf);

    /// <summary>Returns a model.</summary>
    /// <param name="name">Its name; null or empty for the first one.</param>
    /// <exception cref="FailureException">There is no such model.</exception>
    public StorySyncModel Of(string? name) =>
        models.Value.FirstOrDefault(model => string.IsNullOrEmpty(name) || NameOf(model) == name)
            ?? throw new FailureException(new Failure(
                StatusCodes.Status404NotFound,
                "model_not_found",
                models.Value.Count == 0
                    ? "The application has no model; AddStorySync adds one."
                    : $"There is no model '{name}'; expected {string.Join(", ", Names)}.",
                "model"));

    /// <summary>A folder's place on this machine is nobody else's business.</summary>
    private static string NameOf(StorySyncModel model) =>
        model.ServiceKey ?? (Path.IsPathRooted(model.Name) ? Path.GetFileName(Path.TrimEndingDirectorySeparator(model.Name)) : model.Name);
}
