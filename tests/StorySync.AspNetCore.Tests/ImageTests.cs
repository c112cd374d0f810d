using System.ClientModel;
using System.ClientModel.Primitives;
using System.Net;
using System.Text.Json;
using OpenAI;
using OpenAI.Images;
using SkiaSharp;
using StorySync.Pipelines;

namespace StorySync.AspNetCore.Tests;

/// <summary>Images, as OpenAI's own client asks for them.</summary>
public class ImageTests(ServerFixture fixture) : IClassFixture<ServerFixture>
{
    private const string Small = """ "size":"64x64","num_inference_steps":2,"seed":3 """;

    private static readonly GenerationRequest Quick =
        new() { Prompts = ["a red fox"], Steps = 2, Seed = 3, Width = 64, Height = 64 };

    private readonly TestServer server = fixture.Server;

    private ImageClient Images => new("storybook", new ApiKeyCredential("none"), Options);

    private OpenAIClientOptions Options => new() { Endpoint = new Uri(server.Client.BaseAddress!, "v1") };

    [Fact]
    public async Task OpenAIs_client_generates_the_images_of_the_library()
    {
        var options = new ImageGenerationOptions
        {
            Size = new GeneratedImageSize(64, 64), ResponseFormat = GeneratedImageFormat.Bytes, Quality = GeneratedImageQuality.High,
        };
        var answer = await Images.GenerateImagesAsync("a red fox", 2, options);
        using var own = await server.Model.GenerateAsync(
            Quick with { Steps = null, Seed = SeedOf(answer.GetRawResponse()), ImagesPerPrompt = 2 });

        Assert.Equal(own.Images.Select(image => image.Encode(ImageFormat.Png)), answer.Value.Select(image => image.ImageBytes.ToArray()));
    }

    [Fact]
    public async Task OpenAIs_client_gets_addresses_of_images()
    {
        var options = new ImageGenerationOptions
        {
            Size = new GeneratedImageSize(64, 64),
            ResponseFormat = GeneratedImageFormat.Uri,
            OutputFileFormat = GeneratedImageFileFormat.Webp,
        };
        var image = (await Images.GenerateImageAsync("a red fox", options)).Value;
        var response = await server.Client.GetAsync(image.ImageUri);

        Assert.Equal("image/webp", response.Content.Headers.ContentType?.MediaType);
        Assert.Equal(64, RgbImage.Decode(await response.Content.ReadAsByteArrayAsync()).Width);
        Assert.Equal(HttpStatusCode.NotFound, (await server.Client.GetAsync(image.ImageUri + "x")).StatusCode);
    }

    [Fact]
    public async Task OpenAIs_client_paints_over_the_transparent_part_of_a_mask()
    {
        using var first = await server.Model.GenerateAsync(Quick);
        var image = first.Images[0];
        var options = new ImageEditOptions { Size = new GeneratedImageSize(64, 64), ResponseFormat = GeneratedImageFormat.Bytes };
        var edited = await Images.GenerateImageEditAsync(
            new MemoryStream(image.EncodePng()), "image.png", "a green frog", new MemoryStream(Mask()), "mask.png", options);
        using var own = await server.Model.GenerateAsync(Quick with
        {
            Prompts = ["a green frog"],
            Steps = null,
            Seed = SeedOf(edited.GetRawResponse()),
            Images = [RgbImage.Decode(image.EncodePng())],
            Mask = LeftHalf(),
        });

        Assert.Equal(own.Images[0].Encode(ImageFormat.Png), edited.Value.ImageBytes.ToArray());
    }

    [Fact]
    public async Task OpenAIs_client_lists_the_models()
    {
        var models = new OpenAI.Models.OpenAIModelClient(new ApiKeyCredential("none"), Options);

        Assert.Equal("storybook", Assert.Single((await models.GetModelsAsync()).Value).Id);
        Assert.Equal("storybook", (await models.GetModelAsync("storybook")).Value.Id);
        Assert.Equal(404, (await Assert.ThrowsAsync<ClientResultException>(() => models.GetModelAsync("other"))).Status);
    }

    [Theory]
    [InlineData("""{"prompt":"a cat","n":11}""", "n", "expected 10 at most")]
    [InlineData("""{"prompt":"a cat","size":"large"}""", "size", "expected auto, or width and height")]
    [InlineData("""{"prompt":"a cat","size":"8192x8192"}""", "size", "pixels at most")]
    [InlineData("""{"prompt":"a cat","response_format":"file"}""", "response_format", "expected b64_json or url")]
    [InlineData("""{"prompt":"a cat","output_format":"gif"}""", "output_format", "expected png, jpeg or webp")]
    [InlineData("""{"prompt":"a cat","stream":true}""", "stream", "not supported")]
    [InlineData("""{"prompt":"a cat","background":"transparent"}""", "background", "not supported")]
    [InlineData("""{"prompt":"a cat","num_inference_steps":101}""", "num_inference_steps", "expected 100 at most")]
    [InlineData("""{"prompt":"a cat","n":"two"}""", "n", "could not be converted")]
    [InlineData("""{"prompt":"a cat","sise":"64x64"}""", "sise", "could not be mapped")]
    [InlineData("""{"n":1}""", "prompt", "has no prompt")]
    [InlineData("""{"prompt":"a cat","num_inference_steps":0}""", null, "Steps")]
    [InlineData("""{"prompt":"a cat","size":"60x60"}""", null, "60")]
    [InlineData("""{"prompt":""", "prompt", "Expected")]
    public async Task What_is_wrong_is_said_in_OpenAIs_way(string json, string? parameter, string message)
    {
        var (response, body) = await server.PostAsync("/v1/images/generations", json);
        var error = body.GetProperty("error");

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal("invalid_request_error", error.GetProperty("type").GetString());
        Assert.Equal(parameter, error.GetProperty("param").GetString());
        Assert.Contains(message, error.GetProperty("message").GetString(), StringComparison.Ordinal);
        Assert.DoesNotContain("(Parameter", error.GetProperty("message").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unknown_model_is_not_found()
    {
        var (response, body) = await server.PostAsync("/v1/images/generations", """{"prompt":"a cat","model":"dall-e-3"}""");

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Equal("model_not_found", body.GetProperty("error").GetProperty("code").GetString());
    }

    [Theory]
    [InlineData("an image", "text", null, "image")]
    [InlineData("more pixels than are taken", "large", null, "pixels")]
    [InlineData("a mask that is opaque", "image", "image", "no transparent pixels")]
    [InlineData("a mask of another size", "image", "small", "mask")]
    public async Task An_edit_says_what_is_wrong_with_its_files(string what, string image, string? mask, string message)
    {
        using var form = new MultipartFormDataContent { { new StringContent("a cat"), "prompt" } };
        form.Add(new ByteArrayContent(File(image)), "image", "image.png");
        if (mask is not null)
        {
            form.Add(new ByteArrayContent(File(mask)), "mask", "mask.png");
        }

        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/images/edits") { Content = form };
        var (response, body) = await server.SendAsync(request);

        Assert.True(response.StatusCode == HttpStatusCode.BadRequest, what);
        Assert.Contains(message, body.GetProperty("error").GetProperty("message").GetString(), StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task A_full_queue_is_said_with_the_time_to_come_again()
    {
        await using var full = await TestServer.StartAsync(options => options.MaxSteps = 1000, model => model.MaxWaiting = 0);
        await full.PostAsync("/v1/images/generations", $$"""{"prompt":"a cat",{{Small}}}""");
        using var leaving = new CancellationTokenSource();
        var busy = LongAsync(full, leaving.Token);
        await TestServer.UntilAsync(() => full.Model.QueueLength == 1, busy);

        var (response, body) = await full.PostAsync("/v1/images/generations", $$"""{"prompt":"a cat",{{Small}}}""");

        Assert.Equal(HttpStatusCode.TooManyRequests, response.StatusCode);
        Assert.Equal("queue_full", body.GetProperty("error").GetProperty("code").GetString());
        Assert.True(response.Headers.RetryAfter?.Delta >= TimeSpan.FromSeconds(1));
        Assert.Equal(["1"], response.Headers.GetValues("StorySync-Queue-Position"));
        Assert.Single(response.Headers.GetValues("StorySync-Queue-Seconds"));
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => busy);
    }

    /// <summary>A thousand steps take minutes: the test ends in time only if the generation does not go on.</summary>
    [Fact]
    public async Task A_client_that_leaves_frees_the_device()
    {
        await using var patient = await TestServer.StartAsync(options => options.MaxSteps = 1000);
        using var leaving = new CancellationTokenSource();
        var left = LongAsync(patient, leaving.Token);
        await TestServer.UntilAsync(() => patient.Model.QueueLength == 1, left);
        var next = patient.PostAsync("/v1/images/generations", $$"""{"prompt":"a cat",{{Small}}}""");
        await leaving.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);
        Assert.Equal(HttpStatusCode.OK, (await next).Response.StatusCode);
        Assert.Equal(0, patient.Model.QueueLength);
    }

    private static Task<HttpResponseMessage> LongAsync(TestServer server, CancellationToken cancellationToken) => server.Client.PostAsync(
        "/v1/images/generations",
        new StringContent("""{"prompt":"a cat","size":"256x256","num_inference_steps":1000}""", null, "application/json"),
        cancellationToken);

    private static long SeedOf(PipelineResponse response) => JsonSerializer.Deserialize<JsonElement>(response.Content)
        .GetProperty("data")[0].GetProperty("seed").GetInt64();

    private static byte[] File(string name) => name switch
    {
        "text" => "no image"u8.ToArray(),
        "large" => new RgbImage(2049, 2048, new byte[2049 * 2048 * 3]).EncodePng(),
        "image" => new RgbImage(64, 64, new byte[64 * 64 * 3]).EncodePng(),
        _ => Mask(32),
    };

    /// <summary>A mask as OpenAI's are: transparent on the left.</summary>
    private static byte[] Mask(int size = 64)
    {
        using var bitmap = new SKBitmap(new SKImageInfo(size, size, SKColorType.Rgba8888, SKAlphaType.Unpremul));
        for (var i = 0; i < size * size; i++)
        {
            bitmap.SetPixel(i % size, i / size, new SKColor(10, 20, 30, (byte)(i % size < size / 2 ? 0 : 255)));
        }

        using var data = bitmap.Encode(SKEncodedImageFormat.Png, 100);
        return data.ToArray();
    }

    private static RgbImage LeftHalf() =>
        new(64, 64, [.. Enumerable.Range(0, 64 * 64 * 3).Select(i => (byte)(i / 3 % 64 < 32 ? 255 : 0))]);
}
