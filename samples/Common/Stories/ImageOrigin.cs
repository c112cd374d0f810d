using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using StorySync.Pipelines;
using TorchSharp;

namespace StorySync.Samples;

/// <summary>What an image was made with, in full: a text of its PNG file, by which it can be made again.</summary>
internal sealed partial record ImageOrigin
{
    /// <summary>The keyword of the text.</summary>
    public const string Keyword = "StorySync";

    private const int CurrentVersion = 1;

    // A story with masks of its own can be large; the text is for images that travel.
    private const int MostCharacters = 1 << 16;

    private static readonly JsonSerializerOptions Json = new()
    {
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Converters = { new JsonStringEnumConverter() },
    };

    public int Version { get; init; } = CurrentVersion;

    /// <summary>The model's name; null where it is a folder or file, whose path is nobody else's business.</summary>
    public string? Model { get; init; }

    /// <summary>The model's identity.</summary>
    public required string ModelHash { get; init; }

    /// <summary>The identities of the LoRAs.</summary>
    public required IReadOnlyList<string> Loras { get; init; }

    public required torch.ScalarType Dtype { get; init; }

    public WeightQuantization Quantization { get; init; }

    public string? Variant { get; init; }

    public bool TiledDecoding { get; init; }

    /// <summary>The request of an image that knows nothing of others; null for a scene of a story.</summary>
    public GenerationRequest? Request { get; init; }

    /// <summary>The story of a scene; null for an image that knows nothing of others.</summary>
    public StoryOrigin? Story { get; init; }

    /// <summary>What a pipeline's images have in common.</summary>
    /// <param name="pipeline">The pipeline.</param>
    /// <param name="model">The model, as the user named it.</param>
    public static ImageOrigin Of(DiffusionPipeline pipeline, string model) => new()
    {
        Model = Path.Exists(model) || !Name().IsMatch(model) ? null : model,
        ModelHash = pipeline.Identity,
        Loras = pipeline.LoraIdentities,
        Dtype = pipeline.Options.Dtype,
        Quantization = pipeline.Options.Quantization,
        Variant = pipeline.Options.Variant,
        TiledDecoding = pipeline.Options.TiledDecoding,
    };

    /// <summary>Identifies a bank.</summary>
    public static string Identify(StoryBank bank) =>
        Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(bank.Card, Json)));

    /// <summary>Reads what a text says.</summary>
    /// <exception cref="JsonException">It is none of this version.</exception>
    public static ImageOrigin Parse(string text)
    {
        try
        {
            var origin = JsonSerializer.Deserialize<ImageOrigin>(text, Json) ?? throw new JsonException("It is null.");
            return origin.Version != CurrentVersion ? throw new JsonException(
                    $"It is of version {origin.Version}; this program reads version {CurrentVersion}.")
                : !Name().IsMatch(origin.Model ?? "a") || !Name().IsMatch(origin.Variant ?? "a") ? throw new JsonException(
                    "Its model or variant is not a name.")
                : origin is { Request.Prompts.Count: 1, Request.LatentsOnly: false, Story: null }
                    || (origin is { Request: null, Story: { } story } && story.IsWhole) ? origin
                : throw new JsonException("It says neither a prompt nor a story's scene.");
        }
        catch (Exception exception) when (exception is ArgumentException or NotSupportedException or InvalidOperationException)
        {
            throw new JsonException(exception.Message, exception);
        }
    }

    /// <summary>A model or variant as the cache names it. An image may come from anyone, and must not lead to a path of its
    /// choice.</summary>
    [GeneratedRegex(@"^\w[\w-]*(\.[\w-]+)*(/\w[\w-]*(\.[\w-]+)*)?(@[\w-]+(\.[\w-]+)*)?\z")]
    private static partial Regex Name();

    /// <summary>Adds the text to those of a file, unless it is too long.</summary>
    public void AddTo(IDictionary<string, string> texts)
    {
        var text = JsonSerializer.Serialize(this, Json);
        if (text.Length <= MostCharacters)
        {
            texts[Keyword] = text;
        }
    }
}

/// <summary>The story that an image is a scene of.</summary>
internal sealed record StoryOrigin
{
    public required Story Story { get; init; }

    public required StoryOptions Options { get; init; }

    /// <summary>What identifies the bank; null for none.</summary>
    public string? Bank { get; init; }

    public int? Hires { get; init; }

    public double HiresStrength { get; init; }

    /// <summary>How the files of the row are named: scene, plain or large.</summary>
    public string Row { get; init; } = "";

    /// <summary>The scene, from 0.</summary>
    public int Scene { get; init; }

    /// <summary>Whether it says all that the scene needs.</summary>
    [JsonIgnore]
    public bool IsWhole => Options is { Request: not null, Techniques: not null } && (Row is "scene" or "plain" or "large")
        && Scene >= 0 && Scene < Story.Scenes.Count && (Row != "large" || Hires is not null);
}
