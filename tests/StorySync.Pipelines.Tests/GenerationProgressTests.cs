using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>What a generation reports, and how its pictures are decoded, on the small SDXL of the repository.</summary>
public sealed class GenerationProgressTests : IDisposable
{
    private const int Steps = 3;

    private readonly StableDiffusionXLPipeline pipeline = Load(new PipelineOptions { Device = "cpu" });

    [Fact]
    public void Time_never_runs_backwards_and_what_remains_is_judged_by_the_steps_made()
    {
        var reports = Reports(new StableDiffusionXLRequest());

        Assert.Equal(reports.Select(r => r.Elapsed).Order(), reports.Select(r => r.Elapsed));
        var made = reports.Where(r => r.Stage == GenerationStage.Denoising && r.Step > 0).ToList();
        Assert.Equal(Enumerable.Range(1, Steps), made.Select(r => r.Step));
        Assert.All(made, r => Assert.Equal(Steps, r.Steps));
        Assert.All(made[..^1], r => Assert.True(r.Remaining > TimeSpan.Zero));
        Assert.Equal(TimeSpan.Zero, made[^1].Remaining);
        Assert.All(reports.Where(r => r.Step == 0), r => Assert.Null(r.Remaining));
    }

    [Fact]
    public void Without_a_preview_decoder_the_last_preview_is_the_picture()
    {
        GenerationResult? result = null;
        var reports = Reports(new StableDiffusionXLRequest { PreviewInterval = 2 }, r => result = r);

        // Three steps: only the second is due.
        var preview = Assert.Single(reports, r => r.Previews is not null);
        Assert.Equal(2, preview.Step);
        Assert.Equal((32, 32), (preview.Previews![0].Width, preview.Previews[0].Height));

        var last = Reports(new StableDiffusionXLRequest { PreviewInterval = Steps }, r => result = r).Single(r => r.Previews is not null);
        Assert.True(last.Previews![0].Pixels.SequenceEqual(result!.Images[0].Pixels));
    }

    [Fact]
    public void A_preview_decoder_decodes_the_previews_and_nothing_else()
    {
        var plain = Pixels();

        // Four latent channels, eight pixels each: not the size of this model's own pictures.
        using var folder = new TemporaryFolder();
        pipeline.PreviewDecoder = Decoder(folder);
        byte[]? pixels = null;
        var preview = Reports(new StableDiffusionXLRequest { PreviewInterval = Steps }, r => pixels = r.Images[0].Pixels.ToArray())
            .Single(r => r.Previews is not null).Previews![0];

        Assert.Equal((64, 64), (preview.Width, preview.Height));
        Assert.Equal(plain, pixels);

        byte[] Pixels()
        {
            using var result = pipeline.Generate(Request(new StableDiffusionXLRequest()));
            return result.Images[0].Pixels.ToArray();
        }
    }

    [Fact]
    public void A_picture_decoded_in_tiles_is_that_of_the_tiled_autoencoder()
    {
        using var tiled = Load(new PipelineOptions { Device = "cpu", TiledDecoding = true });
        var request = Request(new StableDiffusionXLRequest { Height = 64, Width = 64 });
        using var whole = pipeline.Generate(request);
        using var inTiles = tiled.Generate(request);
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var expected =
            RgbImage.FromTensor((tiled.Vae.Decode(tiled.Vae.UnscaleLatents(inTiles.Latents), sliced: true, tiled: true) / 2) + 0.5)[0];

        TensorAssert.SameBits(whole.Latents, inTiles.Latents);
        Assert.True(expected.Pixels.SequenceEqual(inTiles.Images[0].Pixels));
        Assert.False(whole.Images[0].Pixels.SequenceEqual(inTiles.Images[0].Pixels));
    }

    public void Dispose() => pipeline.Dispose();

    private static StableDiffusionXLPipeline Load(PipelineOptions options) =>
        StableDiffusionXLPipeline.Load(Path.Combine(ReferenceData.OwnRoot, "models", "tiny-sdxl"), options);

    private static StableDiffusionXLRequest Request(StableDiffusionXLRequest request) => request with
    {
        Prompts = ["a red fox"], Steps = Steps, Seed = 4, Height = request.Height ?? 32, Width = request.Width ?? 32,
    };

    /// <summary>diffusers' AutoencoderTiny with its default config and random weights.</summary>
    private static AutoencoderTiny Decoder(TemporaryFolder folder)
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(3);
        using var empty = new AutoencoderTiny(new AutoencoderTinyConfig());
        SafetensorsWriter.Write(
            folder.PathOf("diffusion_pytorch_model.safetensors"),
            ModelManifest.Of(empty).Shapes.ToDictionary(s => s.Key, s => randn([.. s.Value], generator: random) * 0.1));
        folder.Write("config.json", "{}");
        return AutoencoderTiny.Load(ModelFolder.Open(folder.Path));
    }

    private List<GenerationProgress> Reports(StableDiffusionXLRequest request, Action<GenerationResult>? done = null)
    {
        var reports = new ProgressList();
        using var result = pipeline.Generate(Request(request), reports);
        done?.Invoke(result);
        return reports.All;
    }

    private sealed class ProgressList : IProgress<GenerationProgress>
    {
        public List<GenerationProgress> All { get; } = [];

        public void Report(GenerationProgress value) => All.Add(value);
    }
}
