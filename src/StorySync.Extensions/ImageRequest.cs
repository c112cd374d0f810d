using System.Globalization;
using System.Numerics;
using System.Text.Json;
using Microsoft.Extensions.AI;
using StorySync.Pipelines;

namespace StorySync.Extensions;

/// <summary>A request of Microsoft.Extensions.AI as one of a pipeline.</summary>
internal static class ImageRequest
{
    private static readonly string[] Known =
        ["seed", "negative_prompt", "num_inference_steps", "guidance_scale", "strength", "mask"];

    /// <exception cref="ArgumentException">It says something that no request of a pipeline says.</exception>
    public static GenerationRequest Of(ImageGenerationRequest request, ImageGenerationOptions? options, IImageGenerator generator)
    {
        var raw = options?.RawRepresentationFactory?.Invoke(generator) as GenerationRequest ?? new();
        var more = options?.AdditionalProperties ?? [];
        if (more.Keys.FirstOrDefault(key => !Known.Contains(key, StringComparer.OrdinalIgnoreCase)) is { } unknown)
        {
            throw new ArgumentException(
                $"AdditionalProperties has '{unknown}'; expected {string.Join(", ", Known)}. "
                + $"For everything else RawRepresentationFactory can return a {nameof(GenerationRequest)}.");
        }

        return raw with
        {
            Prompts = request.Prompt is { } prompt ? [prompt] : raw.Prompts,
            Images = request.OriginalImages?.Select(image => Image("OriginalImages", image)).ToArray() is { Length: > 0 } originals
                ? originals : raw.Images,
            ImagesPerPrompt = options?.Count ?? raw.ImagesPerPrompt,
            Width = options?.ImageSize?.Width ?? raw.Width,
            Height = options?.ImageSize?.Height ?? raw.Height,
            Seed = Number<long>(more, "seed") ?? raw.Seed,
            NegativePrompts = Text(more, "negative_prompt") is { } negative ? [negative] : raw.NegativePrompts,
            Steps = Number<int>(more, "num_inference_steps") ?? raw.Steps,
            GuidanceScale = Number<double>(more, "guidance_scale") ?? raw.GuidanceScale,
            Strength = Number<double>(more, "strength") ?? raw.Strength,
            Mask = more.TryGetValue("mask", out var mask) && mask is not null ? Image("AdditionalProperties['mask']", mask) : raw.Mask,
        };
    }

    /// <exception cref="ArgumentException">Another format was asked for than there is.</exception>
    public static (ImageFormat Format, string MediaType) FormatOf(ImageGenerationOptions? options)
    {
        if (options?.ResponseFormat is { } form and not ImageGenerationResponseFormat.Data)
        {
            throw new ArgumentException($"ResponseFormat is {form}; expected Data: images are nowhere but in the response.");
        }

        return options?.MediaType switch
        {
            null or "image/png" => (ImageFormat.Png, "image/png"),
            "image/jpeg" => (ImageFormat.Jpeg, "image/jpeg"),
            "image/webp" => (ImageFormat.WebP, "image/webp"),
            var other => throw new ArgumentException($"MediaType is '{other}'; expected image/png, image/jpeg or image/webp."),
        };
    }

    /// <summary>A number, which can be one of any type, text, or of JSON.</summary>
    private static T? Number<T>(AdditionalPropertiesDictionary all, string name)
        where T : struct, INumber<T> =>
        !all.TryGetValue(name, out var value) || value is null ? null
        : Convert.ToString(value, CultureInfo.InvariantCulture) is var text
            && T.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw new ArgumentException(
                $"AdditionalProperties['{name}'] is '{value}'; expected a{(typeof(T) == typeof(double) ? "" : " whole")} number.");

    private static string? Text(AdditionalPropertiesDictionary all, string name) => all.GetValueOrDefault(name) switch
    {
        null => null,
        string text => text,
        JsonElement { ValueKind: JsonValueKind.String } json => json.GetString(),
        var other => throw new ArgumentException($"AdditionalProperties['{name}'] is a {other.GetType().Name}; expected text."),
    };

    private static RgbImage Image(string where, object value)
    {
        try
        {
            return value switch
            {
                RgbImage image => image,
                DataContent content => RgbImage.Decode(content.Data.Span),
                byte[] encoded => RgbImage.Decode(encoded),
                _ => throw new ArgumentException(
                    $"{where} has a {value.GetType().Name}; expected {nameof(DataContent)} with an image file: nothing is downloaded."),
            };
        }
        catch (InvalidDataException exception)
        {
            throw new ArgumentException($"{where}: {exception.Message}", exception);
        }
    }
}
