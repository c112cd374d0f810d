using Microsoft.Extensions.AI;
using StorySync.Pipelines;

namespace StorySync.Extensions;

/// <summary>Generates images for Microsoft.Extensions.AI by a model of the application.</summary>
internal sealed class StorySyncImageGenerator(StorySyncModel model) : IImageGenerator
{
    private readonly ImageGeneratorMetadata metadata = new("storysync", providerUri: null, model.Name);

    public async Task<ImageGenerationResponse> GenerateAsync(
        ImageGenerationRequest request, ImageGenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (options?.ModelId is { } asked && asked != model.Name)
        {
            throw new ArgumentException($"ModelId is '{asked}'; this generator has the model '{model.Name}' alone.", nameof(options));
        }

        var (format, mediaType) = ImageRequest.FormatOf(options);
        using var result = await model.GenerateAsync(ImageRequest.Of(request, options, this), progress: null, cancellationToken)
            .ConfigureAwait(false);
        return new ImageGenerationResponse([.. result.Images.Zip(result.Seeds, (image, seed) =>
            new DataContent(image.Encode(format), mediaType) { AdditionalProperties = new() { ["seed"] = seed } })])
        {
            RawRepresentation = result,
        };
    }

    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType == typeof(ImageGeneratorMetadata) ? metadata
            : serviceType == typeof(StorySyncModel) ? model
            : serviceType.IsInstanceOfType(this) ? this
            : null;
    }

    /// <summary>Leaves the model, which is the application's.</summary>
    public void Dispose()
    {
    }
}
