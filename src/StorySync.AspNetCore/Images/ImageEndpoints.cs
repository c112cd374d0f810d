using System.Globalization;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Options;
using StorySync.Extensions;
using StorySync.Pipelines;

namespace StorySync.AspNetCore;

/// <summary>The endpoints of images and models, as OpenAI's clients call them.</summary>
internal sealed class ImageEndpoints(
    ModelCatalog models, ImageStore store, IOptions<StorySyncServerOptions> options, TimeProvider time)
{
    private readonly StorySyncServerOptions options = options.Value;

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost("/v1/images/generations", GenerateAsync)
            .Accepts<ImagesBody>("application/json").Produces<ImagesAnswer>().WithSummary("Generates images from a prompt.");
        routes.MapPost("/v1/images/edits", EditAsync)
            .Accepts<ImagesBody>("multipart/form-data").Produces<ImagesAnswer>().WithSummary("Draws an image again, or a part of it.");
        routes.MapGet("/v1/models", () => new ModelList("list", [.. models.Names.Select(ModelEntry.Of)]))
            .WithSummary("Lists the models.");
        routes.MapGet("/v1/models/{**name}", (string name) =>
        {
            models.Of(name);
            return ModelEntry.Of(name);
        }).WithSummary("Describes a model.");
    }

    /// <summary>Maps the addresses of images. They are fetched by programs that know no key, and nobody guesses them.</summary>
    public void MapFiles(IEndpointRouteBuilder routes) =>
        routes.MapGet("/v1/images/files/{name}", (string name) => store.TryGet(name, out var image)
            ? Results.Bytes(image.File, image.MediaType)
            : Results.Problem("There is no such image; it may have been released.", statusCode: StatusCodes.Status404NotFound))
            .WithTags("Images").WithSummary("Returns an image that was asked for by its address.");

    private async Task<ImagesAnswer> GenerateAsync(HttpContext context, CancellationToken cancellationToken) =>
        await AnswerAsync(context, await ImagesBody.ReadAsync(context.Request.Body, cancellationToken), [], null, cancellationToken);

    private async Task<ImagesAnswer> EditAsync(HttpContext context, CancellationToken cancellationToken)
    {
        if (!context.Request.HasFormContentType)
        {
            throw new FailureException(new Failure(
                StatusCodes.Status415UnsupportedMediaType, "invalid_request", "The body is not a form; expected multipart/form-data."));
        }

        var form = await context.Request.ReadFormAsync(
            new FormOptions { MultipartBodyLengthLimit = options.MaxRequestBytes }, cancellationToken);
        if (form.Files.FirstOrDefault(file => file.Name is not ("image" or "image[]" or "mask")) is { Name: var unknown })
        {
            throw FailureException.Of(unknown, $"The form has a file '{unknown}'; expected image and mask.");
        }

        var images = form.Files.Where(file => file.Name is "image" or "image[]").ToList();
        if (images.Count != 1)
        {
            throw FailureException.Of("image", $"The form has {images.Count} images; expected 1.");
        }

        var image = await ReadAsync(images[0], "image", RgbImage.Decode, cancellationToken);
        var mask = form.Files.GetFile("mask") is not { } file ? null
            : await ReadAsync(file, "mask", RgbImage.DecodeAlpha, cancellationToken) is { } alpha ? Inverted(alpha)
            : throw FailureException.Of("mask", "The mask has no transparent pixels; expected them where the image is drawn again.");
        return await AnswerAsync(context, ImagesBody.Of(form), [image!], mask, cancellationToken);
    }

    private async Task<ImagesAnswer> AnswerAsync(
        HttpContext context, ImagesBody body, IReadOnlyList<RgbImage> images, RgbImage? mask, CancellationToken cancellationToken)
    {
        var model = models.Of(body.Model);
        var (format, mediaType) = FormatOf(body);
        var byAddress = body.ResponseFormat switch
        {
            null or "b64_json" => false,
            "url" => true,
            var other => throw FailureException.Of("response_format", $"response_format is '{other}'; expected b64_json or url."),
        };
        var request = RequestOf(body) with { Images = images.Count > 0 ? images : null, Mask = mask };
        TellQueue(context.Response, model);
        using var result = await DrawAsync(model, request, cancellationToken);
        var entries = result.Images.Zip(result.Seeds, (image, seed) =>
        {
            var file = image.Encode(format, body.OutputCompression ?? 90);
            return byAddress
                ? new ImageEntry(null, AddressOf(context.Request, store.Add(file, mediaType)), seed)
                : new ImageEntry(file, null, seed);
        });
        return new ImagesAnswer(
            time.GetUtcNow().ToUnixTimeSeconds(),
            mediaType["image/".Length..],
            $"{result.Images[0].Width}x{result.Images[0].Height}",
            [.. entries]);
    }

    private static async Task<GenerationResult> DrawAsync(
        StorySyncModel model, GenerationRequest request, CancellationToken cancellationToken)
    {
        try
        {
            return await model.GenerateAsync(request, cancellationToken: cancellationToken);
        }
        catch (QueueFullException exception)
        {
            throw new FailureException(Failure.Of(exception)! with { RetryAfter = model.EstimatedWait ?? TimeSpan.FromSeconds(1) });
        }
    }

    /// <summary>Says how many requests came first, and when their images may be there.</summary>
    private static void TellQueue(HttpResponse response, StorySyncModel model)
    {
        response.Headers["StorySync-Queue-Position"] = model.QueueLength.ToString(CultureInfo.InvariantCulture);
        if (model.EstimatedWait is { } wait)
        {
            response.Headers["StorySync-Queue-Seconds"] = wait.TotalSeconds.ToString("F1", CultureInfo.InvariantCulture);
        }
    }

    private GenerationRequest RequestOf(ImagesBody body)
    {
        if (body.Prompt is not { } prompt)
        {
            throw FailureException.Of("prompt", "The request has no prompt.");
        }

        AtMost("n", body.N, options.MaxImages);
        AtMost("num_inference_steps", body.NumInferenceSteps, options.MaxSteps);
        Refuse("stream", body.Stream == true);
        Refuse("partial_images", body.PartialImages > 0);
        Refuse("background", body.Background is not (null or "auto" or "opaque"));
        var (width, height) = SizeOf(body.Size);
        return new GenerationRequest
        {
            Prompts = [prompt],
            ImagesPerPrompt = body.N ?? 1,
            Width = width,
            Height = height,
            Seed = body.Seed,
            NegativePrompts = body.NegativePrompt is { } negative ? [negative] : null,
            Steps = body.NumInferenceSteps,
            GuidanceScale = body.GuidanceScale,
            Strength = body.Strength,
        };
    }

    private (int? Width, int? Height) SizeOf(string? size)
    {
        if (size is null or "auto")
        {
            return (null, null);
        }

        if (size.Split('x') is not [var left, var right]
            || !int.TryParse(left, NumberStyles.None, CultureInfo.InvariantCulture, out var width)
            || !int.TryParse(right, NumberStyles.None, CultureInfo.InvariantCulture, out var height))
        {
            throw FailureException.Of("size", $"size is '{size}'; expected auto, or width and height such as 1024x1024.");
        }

        return (long)width * height <= options.MaxPixels
            ? (width, height)
            : throw FailureException.Of("size", $"size is '{size}'; expected {options.MaxPixels} pixels at most.");
    }

    private static (ImageFormat Format, string MediaType) FormatOf(ImagesBody body) => body.OutputFormat switch
    {
        null or "png" => (ImageFormat.Png, "image/png"),
        "jpeg" => (ImageFormat.Jpeg, "image/jpeg"),
        "webp" => (ImageFormat.WebP, "image/webp"),
        var other => throw FailureException.Of("output_format", $"output_format is '{other}'; expected png, jpeg or webp."),
    };

    private static void AtMost(string name, int? value, int limit)
    {
        if (value > limit)
        {
            throw FailureException.Of(name, $"{name} is {value}; expected {limit} at most.");
        }
    }

    private static void Refuse(string name, bool isAsked)
    {
        if (isAsked)
        {
            throw FailureException.Of(name, $"{name} is not supported.");
        }
    }

    private async Task<RgbImage?> ReadAsync(IFormFile file, string name, Decoder decode, CancellationToken cancellationToken)
    {
        var bytes = new byte[file.Length];
        await using var stream = file.OpenReadStream();
        await stream.ReadExactlyAsync(bytes, cancellationToken);
        try
        {
            return decode(bytes, options.MaxPixels);
        }
        catch (InvalidDataException exception)
        {
            throw FailureException.Of(name, $"{name}: {exception.Message}");
        }
    }

    private static RgbImage Inverted(RgbImage alpha) =>
        new(alpha.Width, alpha.Height, [.. alpha.Pixels.ToArray().Select(value => (byte)~value)]);

    /// <summary>The file next to the endpoint that was called, whatever prefix it has.</summary>
    private static string AddressOf(HttpRequest request, string name)
    {
        var path = request.Path.Value!;
        return $"{request.Scheme}://{request.Host}{request.PathBase}{path[..path.LastIndexOf('/')]}/files/{name}";
    }

    private delegate RgbImage? Decoder(ReadOnlySpan<byte> encoded, long maxPixels);

    internal sealed record ImagesAnswer(
        long Created,
        [property: JsonPropertyName("output_format")] string OutputFormat,
        string Size,
        IReadOnlyList<ImageEntry> Data);

    internal sealed record ImageEntry(
        [property: JsonPropertyName("b64_json"), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] byte[]? File,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Url,
        long Seed);

    internal sealed record ModelList(string Object, IReadOnlyList<ModelEntry> Data);

    internal sealed record ModelEntry(
        string Id, string Object, long Created, [property: JsonPropertyName("owned_by")] string OwnedBy)
    {
        public static ModelEntry Of(string id) => new(id, "model", 0, "storysync");
    }
}
