using System.Text.Json;
using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>What a generation reports, and how its images are decoded, on the small SDXL of the repository.</summary>
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
    public void Without_a_decoder_and_without_a_fit_there_is_no_preview_and_a_warning()
    {
        GenerationResult? result = null;
        var reports = Reports(new StableDiffusionXLRequest { PreviewInterval = 1 }, r => result = r);

        Assert.All(reports, r => Assert.Null(r.Previews));
        Assert.Contains("latent_rgb_factors", Assert.Single(result!.Warnings).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_preview_paints_the_predicted_clean_latents_by_the_fit_of_the_models_folder()
    {
        using var embedded = StableDiffusionXLPipeline.Load("storybook", new PipelineOptions { Device = "cpu" });
        using var settings = JsonDocument.Parse(File.ReadAllText(Path.Combine(ModelFolder.Open("storybook").Path, "storysync.json")));
        double[][] factors = settings.RootElement.GetProperty("latent_rgb_factors").Deserialize<double[][]>()!;
        double[] bias = settings.RootElement.GetProperty("latent_rgb_factors_bias").Deserialize<double[]>()!;
        var originals = new List<float[]>();
        var reports = new ProgressList();
        using var result = embedded.Generate(
            new GenerationRequest
            {
                Prompts = ["a red cat"],
                Steps = 5,
                Seed = 4,
                Height = 64,
                Width = 128,
                PreviewInterval = 2,
                OnStep = step => originals.Add(step.PredOriginalSample.data<float>().ToArray()),
            },
            reports);

        var previews = reports.All.Where(r => r.Previews is not null).ToList();
        Assert.Equal([2, 4], previews.Select(r => r.Step));
        foreach (var report in previews)
        {
            var (picture, latents) = (Assert.Single(report.Previews!), originals[report.Step - 1]);
            Assert.Equal((16, 8), (picture.Width, picture.Height));
            for (var i = 0; i < picture.Pixels.Length; i++)
            {
                var (cell, color) = (i / 3, i % 3);
                var value = bias[color] + Enumerable.Range(0, 4).Sum(channel => factors[channel][color] * latents[(channel * 128) + cell]);
                Assert.Equal(Math.Clamp((value + 1) / 2, 0, 1) * 255, picture.Pixels[i], 0.501);
            }
        }
    }

    [Theory]
    [InlineData("storybook")]
    [InlineData("storybook-flux")]
    [InlineData("storybook-kandinsky3")]
    public void The_last_preview_resembles_the_picture_and_the_first_does_so_better_than_the_noisy_latents_would(string model)
    {
        using var embedded = DiffusionPipeline.Load(model, new PipelineOptions { Device = "cpu" });
        var reports = new ProgressList();
        var noisy = new List<RgbImage>();
        using var result = embedded.Generate(
            new GenerationRequest
            {
                Prompts = ["a green frog jumping in the snow"],
                Seed = 4,
                PreviewInterval = 1,
                OnStep = step => noisy.AddRange(embedded.LatentColors!.Paint(embedded.Unpack(step.Latents, 128, 128))),
            },
            reports);
        var picture = result.Images[0].Resize(16, 16);
        double[] likeness = [.. reports.All.Where(r => r.Previews is not null).Select(r => Correlation(r.Previews![0], picture))];

        Assert.Equal(embedded.DefaultSteps, likeness.Length);
        Assert.True(likeness[^1] > 0.85, $"{likeness[^1]:f3}");
        Assert.True(likeness[3] > Correlation(noisy[3], picture) + 0.1, $"{likeness[3]:f3}, {Correlation(noisy[3], picture):f3}");
    }

    [Fact]
    public void The_fits_of_SDXL_and_FLUX_are_known_by_the_autoencoders_config()
    {
        Assert.NotNull(LatentColors.Known(new AutoencoderKLConfig { ScalingFactor = 0.13025 }));
        Assert.NotNull(LatentColors.Known(new AutoencoderKLConfig { LatentChannels = 16, ScalingFactor = 0.3611, ShiftFactor = 0.1159 }));
        Assert.Null(LatentColors.Known(new AutoencoderKLConfig()));
        Assert.Null(LatentColors.Known(new AutoencoderKLConfig { ScalingFactor = 0.13025, LatentsMean = [0, 0, 0, 0] }));
        Assert.Null(LatentColors.Known(new VQModelConfig()));
    }

    [Fact]
    public void A_preview_decoder_decodes_the_previews_and_nothing_else()
    {
        var plain = Pixels();

        // Four latent channels, eight pixels each: not the size of this model's own pictures.
        using var folder = new TemporaryFolder();
        pipeline.PreviewDecoder = Decoder(folder);
        byte[]? pixels = null;
        RgbImage? expected = null;
        var request = new StableDiffusionXLRequest
        {
            PreviewInterval = 2,
            OnStep = step => expected = step.Index == 1
                ? RgbImage.FromTensor((pipeline.PreviewDecoder.Decode(step.PredOriginalSample) / 2) + 0.5)[0]
                : expected,
        };
        var preview = Reports(request, r => pixels = r.Images[0].Pixels.ToArray()).Single(r => r.Previews is not null).Previews![0];

        Assert.Equal((64, 64), (preview.Width, preview.Height));
        Assert.True(preview.Pixels.SequenceEqual(expected!.Pixels));
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
            CheckpointShapes.Of(empty).Shapes.ToDictionary(s => s.Key, s => randn([.. s.Value], generator: random) * 0.1));
        folder.Write("config.json", "{}");
        return AutoencoderTiny.Load(ModelFolder.Open(folder.Path));
    }

    private static double Correlation(RgbImage first, RgbImage second)
    {
        var pairs = first.Pixels.ToArray().Zip(second.Pixels.ToArray(), (a, b) => (A: (double)a, B: (double)b)).ToArray();
        var (a, b) = (pairs.Average(p => p.A), pairs.Average(p => p.B));
        return pairs.Sum(p => (p.A - a) * (p.B - b))
            / Math.Sqrt(pairs.Sum(p => (p.A - a) * (p.A - a)) * pairs.Sum(p => (p.B - b) * (p.B - b)));
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
