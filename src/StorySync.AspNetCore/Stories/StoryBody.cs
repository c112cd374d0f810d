using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Primitives;
using StorySync.Cluster;
using StorySync.Documents;
using StorySync.Pipelines;

namespace StorySync.AspNetCore;

/// <summary>Reads stories and scenes, as people write them and as programs do, and holds them to the limits.</summary>
internal sealed class StoryBody(IOptions<StorySyncServerOptions> options, ModelCatalog models)
{
    private readonly StorySyncServerOptions limits = options.Value;

    private readonly JsonSerializerOptions json = new(JsonSerializerDefaults.Web)
    {
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        Converters = { new LimitedImageConverter(options.Value.MaxPixels) },
    };

    /// <summary>Reads the body of a request: YAML, or JSON of either form.</summary>
    public async Task<StoryDocument> ReadAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        using var reader = new StreamReader(request.Body);
        return Read(await reader.ReadToEndAsync(cancellationToken), request.Query, request.HasJsonContentType());
    }

    /// <summary>Reads a story.</summary>
    /// <param name="text">What people write, in YAML or JSON (<see cref="StoryFile"/>), or a <see cref="StoryDocument"/>.</param>
    /// <param name="query">What a story as people write it does not say: <c>model</c>, <c>anchors</c>, <c>previews</c>.</param>
    /// <param name="isJson">Whether it can only be JSON.</param>
    /// <param name="bank">The bank whose subjects the scenes have; null (default) for the story's own.</param>
    public StoryDocument Read(string text, IQueryCollection query, bool isJson, StoryBank? bank = null)
    {
        var document = isJson && IsDocument(text) ? JsonSerializer.Deserialize<StoryDocument>(text, json)!
            : Of(StoryFile.Parse(text, isJson ? StoryFileFormat.Json : StoryFileFormat.Yaml), query, bank);
        return Check(document with { Model = ModelOf(document.Model) });
    }

    /// <summary>Reads scenes to add: texts, or scenes with their members.</summary>
    public async Task<IReadOnlyList<Scene>> ReadScenesAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        var scenes = await JsonSerializer.DeserializeAsync<JsonElement[]>(request.Body, json, cancellationToken) ?? [];
        AtMost("scenes", scenes.Length, limits.MaxScenes);
        return [.. scenes.Select(SceneOf)];
    }

    /// <summary>Reads the scene to draw in another's place; null where the body is empty.</summary>
    public async Task<Scene?> ReadSceneAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        using var reader = new StreamReader(request.Body);
        var text = await reader.ReadToEndAsync(cancellationToken);
        return text.Length == 0 ? null : SceneOf(JsonSerializer.Deserialize<JsonElement>(text, json));
    }

    public StoryDocument Check(StoryDocument document)
    {
        var request = document.Options?.Request;
        AtMost("scenes", document.Story?.Scenes?.Count, limits.MaxScenes);
        AtMost("steps", request?.Steps, limits.MaxSteps);
        AtMost("candidates", document.Options?.Candidates, limits.MaxImages);
        AtMost("imagesPerPrompt", request?.ImagesPerPrompt, limits.MaxImages);
        AtMost(
            "height × width", (long?)(request?.Height ?? request?.Width) * (request?.Width ?? request?.Height), limits.MaxPixels);
        return document;
    }

    private static bool IsDocument(string text)
    {
        using var document = JsonDocument.Parse(text);
        return document.RootElement.ValueKind == JsonValueKind.Object
            && document.RootElement.EnumerateObject().Any(member => member.Name.Equals("story", StringComparison.OrdinalIgnoreCase));
    }

    private static StoryDocument Of(StoryFile file, IQueryCollection query, StoryBank? bank) => new()
    {
        Story = bank is null ? file.ToStory() : file.On(bank).ToStory(bank.Card.Story.Scenes),
        Model = query["model"],
        Options = file.ToOptions(new StoryOptions
        {
            Anchors = Number("anchors", query["anchors"]),
            Request = new() { PreviewInterval = Number("previews", query["previews"]) ?? 0 },
        }),
    };

    private static int? Number(string name, StringValues value) =>
        value.Count == 0 ? null
        : int.TryParse(value, System.Globalization.CultureInfo.InvariantCulture, out var number) ? number
        : throw FailureException.Of(name, $"{name} is '{value}'; expected a whole number.");

    private Scene SceneOf(JsonElement scene) => scene.ValueKind == JsonValueKind.String
        ? new Scene(scene.GetString()!)
        : scene.Deserialize<Scene>(json) ?? throw new JsonException("A scene is null; expected a prompt, or an object with one.");

    /// <summary>A cluster knows models by their own names; clients know keys.</summary>
    private string? ModelOf(string? name) =>
        string.IsNullOrEmpty(name) ? null : models.Names.Any() ? models.Of(name).Name : name;

    private static void AtMost(string name, long? value, long limit)
    {
        if (value > limit)
        {
            throw FailureException.Of(name, $"{name}: {value}; expected {limit} at most.");
        }
    }

    /// <summary>Images of a body are decoded to no more pixels than the server allows.</summary>
    private sealed class LimitedImageConverter(long maxPixels) : JsonConverter<RgbImage>
    {
        public override RgbImage Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
        {
            if (reader.TokenType != JsonTokenType.String || !reader.TryGetBytesFromBase64(out var file))
            {
                throw new JsonException("An image must be a text: an image file (PNG, JPEG, WebP) in base64.");
            }

            try
            {
                return RgbImage.Decode(file, maxPixels);
            }
            catch (InvalidDataException exception)
            {
                throw new JsonException(exception.Message, exception);
            }
        }

        public override void Write(Utf8JsonWriter writer, RgbImage value, JsonSerializerOptions options) =>
            throw new NotSupportedException();
    }
}
