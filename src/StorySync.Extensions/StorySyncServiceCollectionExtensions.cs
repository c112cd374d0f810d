using Microsoft.Extensions.AI;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using StorySync.Extensions;
using StorySync.Pipelines;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Adds StorySync's models to an application's services.</summary>
/// <remarks>Of each model there are a <see cref="StorySyncModel"/>, which loads it when it is first used and lets requests wait for their
/// device, an <see cref="IImageGenerator"/> that generates by it, and its <see cref="DiffusionPipeline"/>, the resolving of which waits
/// until the model is loaded; all are singletons. Options are validated when the application starts.</remarks>
public static class StorySyncServiceCollectionExtensions
{
    /// <summary>Adds a model.</summary>
    /// <param name="services">The services.</param>
    /// <param name="model">A folder, <c>storybook</c> for the embedded model, or <c>organisation/name</c> in the Hugging Face
    /// cache.</param>
    /// <param name="configure">Sets further options; null for none.</param>
    public static IServiceCollection AddStorySync(
        this IServiceCollection services, string model, Action<StorySyncModelOptions>? configure = null) =>
        Add(services, null, options => Configure(options, model, configure));

    /// <summary>Adds a model that a section of the configuration describes, such as <c>StorySync</c> with <c>StorySync:Model</c>.</summary>
    /// <param name="services">The services.</param>
    /// <param name="section">The section; its entries have the names of <see cref="StorySyncModelOptions"/>' members.</param>
    public static IServiceCollection AddStorySync(this IServiceCollection services, IConfiguration section) =>
        Add(services, null, options => Bind(options, section));

    /// <summary>Adds a model under a key.</summary>
    /// <param name="services">The services.</param>
    /// <param name="serviceKey">The key.</param>
    /// <param name="model">As in <see cref="AddStorySync(IServiceCollection, string, Action{StorySyncModelOptions})"/>.</param>
    /// <param name="configure">Sets further options; null for none.</param>
    public static IServiceCollection AddKeyedStorySync(
        this IServiceCollection services, string serviceKey, string model, Action<StorySyncModelOptions>? configure = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(serviceKey);
        return Add(services, serviceKey, options => Configure(options, model, configure));
    }

    /// <summary>Adds the models that a section of the configuration describes, each under its entry's name: <c>StorySync:Models</c> with
    /// <c>StorySync:Models:fox:Model</c> adds one under the key <c>fox</c>.</summary>
    /// <param name="services">The services.</param>
    /// <param name="models">The section.</param>
    public static IServiceCollection AddKeyedStorySync(this IServiceCollection services, IConfiguration models)
    {
        ArgumentNullException.ThrowIfNull(models);
        foreach (var section in models.GetChildren())
        {
            Add(services, section.Key, options => Bind(options, section));
        }

        return services;
    }

    private static void Configure(
        OptionsBuilder<StorySyncModelOptions> options, string model, Action<StorySyncModelOptions>? configure)
    {
        ArgumentNullException.ThrowIfNull(model);
        options.Configure(own =>
        {
            own.Model = model;
            configure?.Invoke(own);
        });
    }

    /// <summary>An entry that no option has is refused: it is a mistyped one.</summary>
    private static void Bind(OptionsBuilder<StorySyncModelOptions> options, IConfiguration section)
    {
        ArgumentNullException.ThrowIfNull(section);
        options.Bind(section, binder => binder.ErrorOnUnknownConfiguration = true);
    }

    private static IServiceCollection Add(IServiceCollection services, string? key, Action<OptionsBuilder<StorySyncModelOptions>> configure)
    {
        ArgumentNullException.ThrowIfNull(services);
        configure(services.AddOptions<StorySyncModelOptions>(key).ValidateOnStart());
        if (services.Any(service => service.ServiceType == typeof(StorySyncModel) && Equals(service.ServiceKey, key)))
        {
            return services;
        }

        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<StorySyncModelOptions>, StorySyncModelOptionsValidator>());
        services.TryAddSingleton<DeviceQueues>();
        services.Add(ServiceDescriptor.KeyedSingleton(key, (provider, _) => new StorySyncModel(
            key,
            OptionsOf(provider, key),
            provider.GetRequiredService<DeviceQueues>(),
            provider.GetService<ILogger<StorySyncModel>>() ?? NullLogger<StorySyncModel>.Instance)));
        services.TryAdd(ServiceDescriptor.KeyedSingleton(key, (provider, _) => ModelOf(provider, key).AsIImageGenerator()));
        services.TryAdd(ServiceDescriptor.KeyedSingleton(key, (provider, _) =>
            ModelOf(provider, key).LoadAsync().GetAwaiter().GetResult()));
        services.AddSingleton<IHostedService>(provider => new ModelLoader(ModelOf(provider, key), OptionsOf(provider, key)));
        return services;
    }

    private static StorySyncModel ModelOf(IServiceProvider provider, string? key) =>
        provider.GetRequiredKeyedService<StorySyncModel>(key);

    private static StorySyncModelOptions OptionsOf(IServiceProvider provider, string? key) =>
        provider.GetRequiredService<IOptionsMonitor<StorySyncModelOptions>>().Get(key);
}
