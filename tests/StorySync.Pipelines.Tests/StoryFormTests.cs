using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Every form of a story with every option, on every form that a model's blocks have. <see cref="EveryOptionTests"/> has the
/// stories in which all scenes read each other.</summary>
public sealed class StoryFormTests(SdxlForm sdxl) : IClassFixture<SdxlForm>
{
    private const int Side = 64;

    private static readonly Subject Bear = new("a bear");
    private static readonly RegionBox Left = new(0, 0, 0.5, 1);

    private static readonly RgbImage Picture = new(Side, Side, [.. Enumerable.Range(0, 3 * Side * Side).Select(i => (byte)(i * 7 % 251))]);
    private static readonly RgbImage UpperHalf = new(
        Side, Side, [.. Enumerable.Range(0, 3 * Side * Side).Select(i => (byte)(i < 3 * Side * Side / 2 ? 255 : 0))]);

    private static readonly Scene Forest = new("a bear standing in the forest") { Location = "the forest" };
    private static readonly Scene Beach = new("a bear waving at the beach") { Subjects = [Bear.In(Left)] };
    private static readonly Scene Snow = new("a bear running in the snow") { Location = "the forest", Subjects = [Bear.In(UpperHalf)] };

    private static readonly Story Bears = new() { Subjects = [Bear], Scenes = [Forest, Beach, Snow] };

    private static readonly GenerationRequest Quick = new() { Steps = 2, GuidanceScale = 4, Seed = 5, Height = Side, Width = Side };

    /// <summary>How a story is made; whether it has anchors.</summary>
    private static readonly Dictionary<string, (bool Anchored, Func<DiffusionPipeline, StoryOptions, StoryResult> Draw)> Forms = new()
    {
        ["regions and a location"] = (false, (pipeline, options) => pipeline.GenerateStory(Bears, options)),
        ["anchors and takes"] = (true, (pipeline, options) => pipeline.GenerateStory(
            Bears, options with { Anchors = 1, Candidates = 2, RetryBelow = 2, BatchSize = 1 })),
        ["the user's picture"] = (true, (pipeline, options) => pipeline.GenerateStory(
            Bears with { Scenes = [new("a bear") { Picture = Picture }, Beach, Snow] }, options with { Anchors = 1 })),
        ["a bank in a file, and a scene drawn again"] = (true, (pipeline, options) =>
        {
            using var folder = new TemporaryFolder();
            using var anchors = pipeline.CreateBank(Bears with { Scenes = [Forest] }, options);
            anchors.Save(folder.PathOf("a.storybank"));
            using var bank = StoryBank.Load(folder.PathOf("a.storybank"));
            using var story = pipeline.GenerateStory(Bears with { Scenes = [Forest, Beach] }, options with { Anchors = 1 });
            using var again = pipeline.RedrawScene(story, 1, Snow, Further(options));
            using var scenes = pipeline.GenerateScenes(bank, [Snow with { Seed = again.Scenes[1].Seed }], Further(options));
            TensorAssert.SameBits(scenes.Latents, again.Latents.narrow(0, 1, 1));
            return pipeline.GenerateScenes(bank, [Forest, Beach, Snow], Further(options));
        }),
    };

    /// <summary>How a model is loaded and asked, and what stories with anchors say to it; null if they draw.</summary>
    private static readonly Dictionary<string, Option> Options = new()
    {
        ["offload, streaming, tiling and weights that are read"] = new(
            new() { Offload = true, StreamBlocks = true, TiledDecoding = true, MapWeights = false }, request => request) { IsExact = true },
        ["guidance end and previews"] = new(new(), request => request with { GuidanceEnd = 0.5, PreviewInterval = 1 }),
        ["a block cache"] = new(new(), request => request with { BlockCacheThreshold = 1e9 }) { Refused = "BlockCacheThreshold" },
        ["images to begin from"] = new(new(), request => request with { Images = [Picture], Strength = 0.9 }),
        ["a part that is painted over"] = new(
            new(), request => request with { Images = [Picture], Mask = UpperHalf, Strength = 1 }) { Refused = "Mask" },
    };

    public static TheoryData<string, string> Cases() =>
        [.. new[] { "storybook", "SDXL's own form", "tiny-sdxl", "tiny-kandinsky3", "tiny-flux" }.SelectMany(model =>
            Forms.Keys.Select(form => (model, form)))];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Every_form_of_a_story_can_have_every_option(string model, string form)
    {
        var (anchored, draw) = Forms[form];
        using var scope = NewDisposeScope();
        using var pipeline = Load(model, new());
        using var expected = draw(pipeline, new() { Request = Quick });
        Check(expected);
        foreach (var (name, option) in Options)
        {
            using var other = option.IsExact ? Load(model, option.Load) : null;
            var options = new StoryOptions { Request = option.Request(Quick) };
            var refused = anchored ? option.Refused : null;
            if (refused is not null)
            {
                var error = Assert.Throws<ArgumentException>(() => draw(pipeline, options));
                Assert.True(error.Message.Contains(refused, StringComparison.Ordinal), $"{name}: {error.Message}");
                continue;
            }

            using var story = draw(other ?? pipeline, options);
            Check(story);
            if (option.IsExact)
            {
                TensorAssert.SameBits(expected.Latents, story.Latents);
            }
        }

        if (pipeline is not Kandinsky3Pipeline)
        {
            using var folder = new TemporaryFolder();
            var lora = pipeline.Loras.Load(WriteLora(pipeline, folder));
            using var styled = draw(pipeline, new() { Request = Quick });
            Check(styled);
            Assert.False(styled.Latents.SameBitsAs(expected.Latents));
            pipeline.Loras.Remove(lora);
        }

        using var after = draw(pipeline, new() { Request = Quick });
        TensorAssert.SameBits(expected.Latents, after.Latents);
    }

    private static StoryOptions Further(StoryOptions options) => new()
    {
        Request = options.Request!.Images is null ? null : new() { Images = options.Request.Images },
    };

    private static string WriteLora(DiffusionPipeline pipeline, TemporaryFolder folder)
    {
        var (denoiser, prefix) = pipeline is StableDiffusionXLPipeline sdxl
            ? ((nn.Module)sdxl.UNet, "unet") : (((FluxPipeline)pipeline).Transformer, "transformer");
        var layer = pipeline.AttentionProcessors.Layers.First().Path + ".to_q";
        var shape = CheckpointShapes.Of(denoiser).Shapes[layer + ".weight"];
        var path = folder.PathOf("lora.safetensors");
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor>
        {
            [$"{prefix}.{layer}.lora_A.weight"] = full([2, shape[1]], 0.1f),
            [$"{prefix}.{layer}.lora_B.weight"] = full([shape[0], 2], 0.1f),
        });
        return path;
    }

    private static void Check(StoryResult story)
    {
        Assert.Equal(3, story.Scenes.Count);
        Assert.All(story.Scenes, scene => Assert.Equal((Side, Side), (scene.Image.Width, scene.Image.Height)));
        Assert.True(story.Latents.isfinite().all().item<bool>());
    }

    private DiffusionPipeline Load(string model, PipelineOptions options) => model.StartsWith("SDXL", StringComparison.Ordinal)
        ? DiffusionPipeline.Load(sdxl.Path, options with { Device = "cpu" })
        : StoryBankTests.Load(model, options);

    private sealed record Option(PipelineOptions Load, Func<GenerationRequest, GenerationRequest> Request)
    {
        /// <summary>Whether the latents stay as they are without it.</summary>
        public bool IsExact { get; init; }

        /// <summary>What stories with anchors say against it.</summary>
        public string? Refused { get; init; }
    }
}
