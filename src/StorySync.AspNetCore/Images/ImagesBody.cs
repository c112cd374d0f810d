using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http;

namespace StorySync.AspNetCore;

/// <summary>What a request for images says, in OpenAI's words, and after those in diffusers'.</summary>
internal sealed record ImagesBody
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    };

    public string? Prompt { get; init; }

    public string? Model { get; init; }

    public int? N { get; init; }

    public string? Size { get; init; }

    public string? ResponseFormat { get; init; }

    public string? OutputFormat { get; init; }

    public int? OutputCompression { get; init; }

    public string? Background { get; init; }

    public bool? Stream { get; init; }

    public int? PartialImages { get; init; }

    // Without effect: how good an image is, is said in steps, and nothing here filters.
    public string? Quality { get; init; }

    public string? Style { get; init; }

    public string? User { get; init; }

    public string? Moderation { get; init; }

    public string? InputFidelity { get; init; }

    public long? Seed { get; init; }

    public string? NegativePrompt { get; init; }

    public int? NumInferenceSteps { get; init; }

    public double? GuidanceScale { get; init; }

    public double? Strength { get; init; }

    /// <exception cref="JsonException">It is not JSON, or has what is not known.</exception>
    public static async Task<ImagesBody> ReadAsync(Stream body, CancellationToken cancellationToken) =>
        await JsonSerializer.DeserializeAsync<ImagesBody>(body, Json, cancellationToken)
            ?? throw new JsonException("The body is null; expected an object.");

    /// <exception cref="JsonException">It has what is not known.</exception>
    public static ImagesBody Of(IFormCollection form) =>
        new JsonObject(form.Select(field => KeyValuePair.Create(field.Key, (JsonNode?)(field.Value.ToString() switch
        {
            "true" => JsonValue.Create(true),
            "false" => JsonValue.Create(false),
            var text => JsonValue.Create(text),
        })))).Deserialize<ImagesBody>(Json)!;
}
