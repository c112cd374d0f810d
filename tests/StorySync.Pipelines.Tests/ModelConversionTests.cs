using System.Text.Json;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Models that are written as folders. <c>tests/Reference/check_converted.py</c> holds such a folder against diffusers'
/// own.</summary>
[Collection(typeof(AloneCollection))]
public sealed class ModelConversionTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    private string Output => Path.Combine(folder.Path, "out");

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("sdxl.safetensors", "sdxl")]
    [InlineData("flux.safetensors", "flux")]
    public void A_folder_of_a_single_file_gives_its_pictures(string file, string model)
    {
        ModelConversion.ToFolder(Single(file), Output, options: Options(model));

        using var expected = DiffusionPipeline.Load(Single(file), Options(model));
        using var actual = DiffusionPipeline.Load(Output, new PipelineOptions { Device = "cpu" });
        AssertSame(expected, actual);
        Assert.Equal(expected.Scheduler.ToConfig().GetRawText(), actual.Scheduler.ToConfig().GetRawText());
        Assert.Equal([Output], Directory.EnumerateFileSystemEntries(folder.Path));
    }

    [Theory]
    [InlineData("flux.gguf")]
    [InlineData("flux-fp8.safetensors")]
    public void Weights_in_fewer_bits_are_decoded(string file)
    {
        var options = Options("flux") with { TextEncoder2 = Single("t5.gguf") };
        ModelConversion.ToFolder(Single(file), Output, ScalarType.Float32, options);

        using var expected = DiffusionPipeline.Load(Single(file), options);
        using var actual = DiffusionPipeline.Load(Output, new PipelineOptions { Device = "cpu" });
        AssertSame(expected, actual);

        ModelConversion.ToFolder(Single(file), Output + "-stored", options: options);
        using var stored = ModelFolder.Open(Output + "-stored").OpenWeights("transformer");
        Assert.Contains(stored.Tensors.Values, info => info.Dtype == SafetensorsDtype.BF16);
        Assert.DoesNotContain(stored.Tensors.Values, info => info.Dtype is SafetensorsDtype.F8_E4M3 or SafetensorsDtype.F8_E5M2);
    }

    [Fact]
    public void Large_components_have_several_files_and_an_index()
    {
        const int Most = 40_000;
        ModelConversion.ToFolder(Folder("sdxl"), Output, ScalarType.Float16, shardSize: Most);

        var unet = Path.Combine(Output, "unet");
        var index = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(unet, "diffusion_pytorch_model.safetensors.index.json"))).RootElement;
        var shards = Directory.EnumerateFiles(unet, "*.safetensors").Select(file => Path.GetFileName(file)).Order().ToList();
        Assert.InRange(shards.Count, 2, 100);
        Assert.Equal($"diffusion_pytorch_model-00001-of-{shards.Count:D5}.safetensors", shards[0]);
        Assert.Equal(shards, index.GetProperty("weight_map").EnumerateObject().Select(place => place.Value.GetString()).Distinct().Order());
        using var weights = ModelFolder.Open(Output).OpenWeights("unet");
        Assert.All(weights.Tensors.Values, info => Assert.Equal(SafetensorsDtype.F16, info.Dtype));
        Assert.Equal(
            weights.Tensors.Values.Sum(info => info.ByteCount), index.GetProperty("metadata").GetProperty("total_size").GetInt64());
        Assert.True(File.Exists(Path.Combine(Output, "text_encoder", "model.safetensors")));

        using var half = DiffusionPipeline.Load(Folder("sdxl"), new PipelineOptions { Device = "cpu" });
        using var actual = DiffusionPipeline.Load(Output, new PipelineOptions { Device = "cpu" });
        AssertSame(half, actual);
    }

    [Fact]
    public void A_folder_with_files_is_left_as_it_is()
    {
        folder.Write("out/mine.txt", "mine");
        Assert.Contains(
            "is there and not empty",
            Assert.Throws<IOException>(() => ModelConversion.ToFolder(Folder("flux"), Output)).Message, StringComparison.Ordinal);
        Assert.Equal(["mine.txt"], Directory.EnumerateFileSystemEntries(Output).Select(Path.GetFileName));
    }

    [Fact]
    public void What_fails_leaves_nothing()
    {
        using var cancelled = new CancellationTokenSource();
        var progress = new Cancelling(cancelled);
        Assert.Throws<OperationCanceledException>(() =>
            ModelConversion.ToFolder(Folder("sdxl"), Output, progress: progress, cancellationToken: cancelled.Token));

        // The published model's configs do not fit.
        Assert.ThrowsAny<ModelFileException>(() => ModelConversion.ToFolder(Single("sdxl.safetensors"), Output));
        Assert.Throws<ArgumentException>(() => ModelConversion.ToFolder(Folder("sdxl"), Output, ScalarType.Int8));
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder.Path));
    }

    [Fact]
    public void It_leaves_no_tensor()
    {
        var written = 0;
        LiveTensors.AssertNoneLeft(() => ModelConversion.ToFolder(Single("flux.gguf"), $"{Output}-{written++}", options: Options("flux")));
    }

    private static string Single(string file) => Path.Combine(ReferenceData.OwnRoot, "single", file);

    private static string Folder(string model) => Path.Combine(ReferenceData.OwnRoot, "models", "tiny-" + model);

    private static PipelineOptions Options(string model) => new() { Device = "cpu", Config = Folder(model) };

    private static void AssertSame(DiffusionPipeline expected, DiffusionPipeline actual)
    {
        var request = new GenerationRequest { Prompts = ["a red fox"], Height = 64, Width = 64, Steps = 2, Seed = 3 };
        using var first = expected.Generate(request);
        using var second = actual.Generate(request);
        TensorAssert.SameBits(first.Latents, second.Latents);
        Assert.Equal(first.Images[0].Pixels.ToArray(), second.Images[0].Pixels.ToArray());
    }

    private sealed class Cancelling(CancellationTokenSource source) : IProgress<LoadProgress>
    {
        public void Report(LoadProgress value)
        {
            if (value.Loaded == 2)
            {
                source.Cancel();
            }
        }
    }
}
