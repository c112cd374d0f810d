using System.Text.Json;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging.Testing;
using OpenTelemetry;
using OpenTelemetry.Trace;
using StorySync.Pipelines;

namespace StorySync.Extensions.Tests;

/// <summary>Microsoft.Extensions.AI's generator on the embedded model.</summary>
public sealed class ImageGeneratorTests : IDisposable
{
    private static readonly RgbImage Image = new(64, 64, [.. Enumerable.Range(0, 64 * 64 * 3).Select(i => (byte)(i / 48))]);

    private static readonly DataContent Original = new(Image.EncodePng(), "image/png");

    private readonly IHost host = Hosts.WithStorybook();

    private IImageGenerator Generator => host.Services.GetRequiredService<IImageGenerator>();

    public void Dispose() => host.Dispose();

    [Fact]
    public async Task Images_are_the_pipelines_to_the_last_byte()
    {
        var response = await Generator.GenerateAsync(new("a cat"), Options(count: 2));
        using var own = (await host.Model().LoadAsync()).Generate(Hosts.Quick with { ImagesPerPrompt = 2 });

        Assert.Equal(2, response.Contents.Count);
        foreach (var (i, content) in response.Contents.Cast<DataContent>().Index())
        {
            Assert.Equal("image/png", content.MediaType);
            Assert.Equal(own.Images[i].EncodePng(), content.Data.ToArray());
            Assert.Equal(own.Images[i].Pixels.ToArray(), RgbImage.Decode(content.Data.Span).Pixels.ToArray());
            Assert.Equal(3L + i, content.AdditionalProperties!["seed"]);
        }

        var raw = Assert.IsType<GenerationResult>(response.RawRepresentation);
        Assert.Equal(own.Seeds, raw.Seeds);
        Assert.Throws<ObjectDisposedException>(() => raw.Latents);
    }

    [Fact]
    public async Task An_original_image_is_painted_over_where_the_mask_is_white()
    {
        var mask = new RgbImage(64, 64, [.. Enumerable.Range(0, 64 * 64 * 3).Select(i => (byte)(i < 64 * 64 ? 255 : 0))]);
        var options = Options();
        options.AdditionalProperties!["strength"] = 0.75;
        options.AdditionalProperties!["mask"] = new DataContent(mask.EncodePng(), "image/png");
        var response = await Generator.GenerateAsync(new("a cat", [Original]), options);
        using var own = (await host.Model().LoadAsync())
            .Generate(Hosts.Quick with { Images = [Image], Mask = mask, Strength = 0.75 });

        Assert.Equal(own.Images[0].EncodePng(), Assert.IsType<DataContent>(Assert.Single(response.Contents)).Data.ToArray());
    }

    [Fact]
    public async Task Another_media_type_is_another_format()
    {
        var options = Options();
        options.MediaType = "image/webp";
        var content = Assert.IsType<DataContent>(Assert.Single((await Generator.GenerateAsync(new("a cat"), options)).Contents));

        Assert.Equal("image/webp", content.MediaType);
        Assert.Equal("WEBP"u8.ToArray(), content.Data.ToArray()[8..12]);
        Assert.Equal(64, RgbImage.Decode(content.Data.Span).Width);
    }

    [Fact]
    public void Options_go_over_the_raw_request()
    {
        var raw = new StableDiffusionXLRequest { Prompts = ["raw"], ClipSkip = 1, Seed = 1, Steps = 9, Eta = 0.5 };
        var request = Assert.IsType<StableDiffusionXLRequest>(ImageRequest.Of(
            new("a cat"),
            new()
            {
                RawRepresentationFactory = _ => raw,
                ImageSize = new(128, 64),
                Count = 3,
                AdditionalProperties = new()
                {
                    ["Seed"] = 7,
                    ["negative_prompt"] = JsonSerializer.SerializeToElement("a dog"),
                    ["num_inference_steps"] = "4",
                    ["guidance_scale"] = JsonSerializer.SerializeToElement(2.5),
                    ["strength"] = null,
                },
            },
            Generator));

        Assert.Equal(("a cat", "a dog"), (Assert.Single(request.Prompts), Assert.Single(request.NegativePrompts!)));
        Assert.Equal((1, 7L, 4, 2.5, 0.5), (request.ClipSkip, request.Seed, request.Steps, request.GuidanceScale, request.Eta));
        Assert.Equal((128, 64, 3, null), (request.Width, request.Height, request.ImagesPerPrompt, request.Strength));
    }

    public static TheoryData<string, ImageGenerationOptions> Refused => new()
    {
        { "AdditionalProperties has 'sead'; expected seed, negative_prompt", Options("sead", 3) },
        { "AdditionalProperties['seed'] is 'three'; expected a whole number", Options("seed", "three") },
        { "AdditionalProperties['num_inference_steps'] is '2.5'; expected a whole number", Options("num_inference_steps", 2.5) },
        { "AdditionalProperties['negative_prompt'] is a Int32; expected text", Options("negative_prompt", 3) },
        { "AdditionalProperties['mask'] has a String; expected DataContent", Options("mask", "https://example.org/mask.png") },
        { "AdditionalProperties['mask']: The data is not an image", Options("mask", new byte[] { 1, 2, 3 }) },
        { "MediaType is 'image/gif'; expected image/png", new() { MediaType = "image/gif" } },
        { "ResponseFormat is Uri; expected Data", new() { ResponseFormat = ImageGenerationResponseFormat.Uri } },
        { "ModelId is 'dall-e-3'; this generator has the model 'storybook' alone", new() { ModelId = "dall-e-3" } },
    };

    [Theory]
    [MemberData(nameof(Refused), DisableDiscoveryEnumeration = true)]
    public async Task What_means_nothing_is_refused_in_words(string said, ImageGenerationOptions options)
    {
        var error = await Assert.ThrowsAsync<ArgumentException>(() => Generator.GenerateAsync(new("a cat"), options));

        Assert.Contains(said, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Originals_are_data_and_a_request_has_a_prompt()
    {
        var link = new UriContent("https://example.org/cat.png", "image/png");
        var error = await Assert.ThrowsAsync<ArgumentException>(() => Generator.GenerateAsync(new("a cat", [link]), Options()));

        Assert.Contains("OriginalImages has a UriContent; expected DataContent", error.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<ArgumentException>(() => Generator.GenerateAsync(new(), Options()));
    }

    [Fact]
    public void It_tells_what_it_is()
    {
        var metadata = Generator.GetRequiredService<ImageGeneratorMetadata>();

        Assert.Equal(("storysync", "storybook"), (metadata.ProviderName, metadata.DefaultModelId));
        Assert.Same(Generator, Generator.GetService<IImageGenerator>());
        Assert.Null(Generator.GetService(typeof(StorySyncModel), "fox"));
        Assert.Null(Generator.GetService<string>());
    }

    [Fact]
    public async Task Decorators_log_it_and_the_pipelines_spans_are_within_theirs()
    {
        var spans = new List<System.Diagnostics.Activity>();
        using var provider = Sdk.CreateTracerProviderBuilder().AddSource("StorySync", "chat").AddInMemoryExporter(spans).Build();
        using var decorated = Hosts.Build((services, _) => services
            .AddStorySync("storybook", options => options.Device = "cpu")
            .AddImageGenerator(services => services.GetRequiredService<StorySyncModel>().AsIImageGenerator())
            .UseLogging()
            .UseOpenTelemetry(sourceName: "chat"));

        await decorated.Services.GetRequiredService<IImageGenerator>().GenerateAsync(new("a cat"), Options());

        var outer = Assert.Single(spans, span => span.Source.Name == "chat");
        var own = spans.Where(span => span.TraceId == outer.TraceId && span != outer).ToList();
        Assert.Equal(["encode", "denoise", "decode", "generate_content storybook"], own.Select(span => span.DisplayName));
        Assert.Equal(outer.SpanId, own[^1].ParentSpanId);
        Assert.Equal("storysync", outer.GetTagItem("gen_ai.provider.name"));
        Assert.Contains(decorated.Services.GetFakeLogCollector().GetSnapshot(), record =>
            record.Category == typeof(LoggingImageGenerator).FullName);
    }

    private static ImageGenerationOptions Options(int? count = null) => new()
    {
        Count = count,
        ImageSize = new(64, 64),
        AdditionalProperties = new() { ["seed"] = 3, ["num_inference_steps"] = 2 },
    };

    private static ImageGenerationOptions Options(string name, object value) => new() { AdditionalProperties = new() { [name] = value } };
}
