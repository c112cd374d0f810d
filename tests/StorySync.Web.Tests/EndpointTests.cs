using System.Net;
using System.Text;
using System.Text.Json;
using StorySync.Pipelines;

namespace StorySync.Web.Tests;

/// <summary>The library's types as those of endpoints.</summary>
public class EndpointTests(WebProgram web) : IClassFixture<WebProgram>
{
    private static readonly RgbImage Image = new(2, 1, [255, 0, 0, 0, 0, 255]);

    private HttpClient Client => web.Client;

    private DiffusionPipeline Pipeline => web.Pipeline;

    public static TheoryData<string, string, string> Echoes => new()
    {
        { "request", "a plain request", """{"prompts":["a cat"],"steps":3,"seed":7,"scheduler":"DDIMScheduler","strength":0.5}""" },
        { "request", "one of a model in the place of any", """{"$type":"flux","trueCfgScale":4,"prompts":["a cat"]}""" },
        { "sdxl", "what only SDXL has", """{"prompts":["a cat"],"clipSkip":1,"originalSize":{"height":64,"width":32},"cropsCoordsTopLeft":{"top":1,"left":2}}""" },
        { "flux", "what only FLUX has", """{"prompts":["a cat"],"maxSequenceLength":64}""" },
        { "story", "a story", """{"scenes":[{"prompt":"a fox","subjects":[{"subject":"a red fox","phrase":"a fox"}]},{"prompt":"a cat","seed":4}],"subjects":["a red fox"]}""" },
        { "options", "a story's options", """{"request":{"$type":"sdxl","clipSkip":1,"steps":4},"sameNoise":true,"techniques":{"sharing":{"strength":0.5,"steps":{"from":0.25,"to":1}}}}""" },
        { "pipeline", "a pipeline's options", """{"device":"cpu","dtype":"BFloat16","scheduler":"DDIMScheduler","offload":true}""" },
        { "region", "a region", """["#.",".."]""" },
    };

    [Theory]
    [MemberData(nameof(Echoes))]
    public async Task A_body_comes_back_with_what_it_says(string endpoint, string what, string json)
    {
        var answer = await Post($"/echo/{endpoint}", json);

        Assert.True(Contains(JsonDocument.Parse(answer).RootElement, JsonDocument.Parse(json).RootElement), $"{what}: {answer}");
    }

    [Fact]
    public async Task An_image_is_a_file_in_base64()
    {
        var sent = JsonSerializer.Serialize(Image, JsonSerializerOptions.Web);
        var file = JsonSerializer.Deserialize<byte[]>(sent)!;
        var back = JsonSerializer.Deserialize<RgbImage>(await Post("/echo/image", sent), JsonSerializerOptions.Web)!;

        Assert.Equal("PNG"u8.ToArray(), file[1..4]);
        Assert.Equal(Image.Pixels.ToArray(), back.Pixels.ToArray());
        Assert.Equal(HttpStatusCode.BadRequest, (await Client.PostAsync("/echo/image", Json("\"AAAA\""))).StatusCode);
    }

    [Fact]
    public async Task A_generation_is_asked_for_and_answered_in_JSON()
    {
        var request = new GenerationRequest { Prompts = ["a cat"], Steps = 2, Seed = 3, Height = 64, Width = 64, Strength = 0.5 };
        var result = JsonSerializer.Deserialize<GenerationResult>(await Post("/generate", JsonSerializer.Serialize(request)),
            JsonSerializerOptions.Web)!;
        using var own = Pipeline.Generate(request);

        Assert.Equal(own.Images[0].Pixels.ToArray(), result.Images[0].Pixels.ToArray());
        Assert.Equal([3], result.Seeds);
        Assert.Equal(own.Warnings, result.Warnings);
        Assert.Throws<InvalidOperationException>(() => result.Latents);
        Assert.Equal(HttpStatusCode.OK, (await Client.PostAsync("/echo/result", Json(JsonSerializer.Serialize(result)))).StatusCode);
    }

    [Fact]
    public async Task A_story_is_asked_for_and_answered_in_JSON()
    {
        var bear = new Subject("a bear");
        var call = new StoryCall(
            new Story { Subjects = [bear], Scenes =
                [new("a bear standing"), new("a cat") { Subjects = [bear.Absent()] }, new("a bear") { Subjects = [bear.At(Square())] }] },
            new StoryOptions { Request = new() { Steps = 2, Seed = 3, Height = 64, Width = 64 } });
        var result =
            JsonSerializer.Deserialize<StoryResult>(await Post("/story", JsonSerializer.Serialize(call)), JsonSerializerOptions.Web)!;
        using var own = Pipeline.GenerateStory(call.Story, call.Options);

        Assert.Equal(own.Scenes.Select(s => s.Image.Pixels.ToArray()), result.Scenes.Select(s => s.Image.Pixels.ToArray()));
        Assert.Null(result.Scenes[1].Subjects[0].Region);
        Assert.Equal(own.Scenes[0].Subjects[0].Region!.Cells.ToArray(), result.Scenes[0].Subjects[0].Region!.Cells.ToArray());
        Assert.Equal(own.Scenes[2].Scene.Subjects[0].Mask!.Pixels.ToArray(), result.Scenes[2].Scene.Subjects[0].Mask!.Pixels.ToArray());
        Assert.Equal(HttpStatusCode.OK, (await Client.PostAsync("/echo/story-result", Json(JsonSerializer.Serialize(result)))).StatusCode);
    }

    /// <summary>White strokes on a transparent canvas: over white, the mask would be white everywhere.</summary>
    [Fact]
    public async Task A_transparent_mask_means_the_same_after_its_way_through_JSON()
    {
        using var bitmap = new SkiaSharp.SKBitmap(
            new SkiaSharp.SKImageInfo(2, 1, SkiaSharp.SKColorType.Rgba8888, SkiaSharp.SKAlphaType.Unpremul));
        bitmap.SetPixel(0, 0, new SkiaSharp.SKColor(255, 255, 255, 200));
        bitmap.SetPixel(1, 0, new SkiaSharp.SKColor(10, 20, 30, 0));
        var mask = RgbImage.FromBitmap(bitmap);
        var sent = JsonSerializer.Serialize(mask, JsonSerializerOptions.Web);
        var back = await Post("/echo/image", sent);

        Assert.Equal(sent, back);
        using var read = SkiaSharp.SKBitmap.Decode(JsonSerializer.Deserialize<byte[]>(back)!);
        Assert.Equal((byte)0, read.GetPixel(1, 0).Alpha);
        Assert.Equal(mask.Pixels.ToArray(), JsonSerializer.Deserialize<RgbImage>(back)!.Pixels.ToArray());
    }

    [Fact]
    public async Task A_plan_is_answered_in_JSON() =>
        Assert.Contains("\"peakBytes\"", await Post("/plan", """{"prompts":["a cat"]}"""), StringComparison.Ordinal);

    [Theory]
    [InlineData("request", """{"prompts":["a cat"],"scheduler":"Euler"}""")]
    [InlineData("region", """["#.","."]""")]
    [InlineData("region", """["#.",null]""")]
    [InlineData("story", """{"subjects":[1],"scenes":[]}""")]
    [InlineData("story", """{"scenes":[{"prompt":"a fox","subjects":[{"subject":"a fox","region":{"left":0.9,"top":0,"width":0.5,"height":1}}]}]}""")]
    [InlineData("options", """{"techniques":{"sharing":{"strength":-1}}}""")]
    [InlineData("options", """{"techniques":{"harmonization":{"steps":{"from":0.8,"to":0.2}}}}""")]
    [InlineData("pipeline", """{"dtype":"single"}""")]
    public async Task A_body_that_means_nothing_is_a_bad_request(string endpoint, string json) =>
        Assert.Equal(HttpStatusCode.BadRequest, (await Client.PostAsync($"/echo/{endpoint}", Json(json))).StatusCode);

    private static RgbImage Square() => new(4, 4, [.. Enumerable.Range(0, 48).Select(i => (byte)(i < 24 ? 255 : 0))]);

    private static StringContent Json(string json) => new(json, Encoding.UTF8, "application/json");

    /// <summary>Whether all that is in one is in the other.</summary>
    private static bool Contains(JsonElement all, JsonElement part) => part.ValueKind switch
    {
        JsonValueKind.Object => part.EnumerateObject().All(p => all.TryGetProperty(p.Name, out var value) && Contains(value, p.Value)),
        JsonValueKind.Array => all.GetArrayLength() == part.GetArrayLength()
            && all.EnumerateArray().Zip(part.EnumerateArray()).All(p => Contains(p.First, p.Second)),
        _ => JsonElement.DeepEquals(all, part),
    };

    private async Task<string> Post(string path, string json)
    {
        var response = await Client.PostAsync(path, Json(json));
        var answer = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, $"{response.StatusCode}: {answer}");
        return answer;
    }
}
