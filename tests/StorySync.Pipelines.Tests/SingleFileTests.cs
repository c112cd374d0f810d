using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Single files, which <c>tests/Reference/make_single_files.py</c> made of the small models, and which diffusers read to the
/// weights of these models.</summary>
[Collection(typeof(AloneCollection))]
public class SingleFileTests
{
    private static string Single(string model) => Path.Combine(ReferenceData.OwnRoot, "single", model + ".safetensors");

    private static string Folder(string model) => Path.Combine(ReferenceData.OwnRoot, "models", "tiny-" + model);

    private static PipelineOptions Options(string model) => new() { Device = "cpu", Config = Folder(model) };

    [Theory]
    [InlineData("sdxl")]
    [InlineData("flux")]
    public void A_single_file_is_the_model_of_its_folder(string model)
    {
        using var expected = DiffusionPipeline.Load(Folder(model), new PipelineOptions { Device = "cpu" });
        using var actual = DiffusionPipeline.Load(Single(model), Options(model));

        Assert.Equal(expected.GetType(), actual.GetType());
        Assert.Equal(expected.Scheduler.ToConfig().GetRawText(), actual.Scheduler.ToConfig().GetRawText());
        AssertSame(expected, actual);
        Assert.Empty(actual.Warnings);
    }

    [Theory]
    [InlineData("sdxl", "vae")]
    [InlineData("sdxl", "text_encoder")]
    [InlineData("sdxl", "text_encoder_2")]
    [InlineData("flux", "vae")]
    [InlineData("flux", "text_encoder")]
    [InlineData("flux", "text_encoder_2")]
    public void What_a_file_lacks_is_taken_from_elsewhere_or_named(string model, string component)
    {
        using var folder = new TemporaryFolder();
        var file = folder.PathOf("model.safetensors");
        var part = folder.PathOf("part.safetensors");
        Split(Single(model), component, file, part);

        // diffusers' own files stay: the loose one is the file's part, under the names that it had there.
        using var expected = DiffusionPipeline.Load(Single(model), Options(model));
        using var fromConfig = DiffusionPipeline.Load(file, Options(model));
        AssertSame(expected, fromConfig);

        var options = Options(model) with { Config = CopyConfigs(model, folder) };
        var error = Assert.Throws<ModelFileException>(() => DiffusionPipeline.Load(file, options));
        var option = component switch { "vae" => "Vae", "text_encoder" => "TextEncoder", _ => "TextEncoder2" };
        Assert.Contains($"it holds no '{component}'", error.Message, StringComparison.Ordinal);
        Assert.EndsWith($"PipelineOptions.{option}", error.Message, StringComparison.Ordinal);

        using var fromPart = DiffusionPipeline.Load(file, With(options, component, part));
        AssertSame(expected, fromPart);
        using var fromFolder = DiffusionPipeline.Load(file, With(options, component, Path.Combine(Folder(model), component)));
        AssertSame(expected, fromFolder);
    }

    [Fact]
    public void A_model_in_a_folder_takes_another_autoencoder()
    {
        using var folder = new TemporaryFolder();
        var part = folder.PathOf("sdxl_vae.safetensors");
        Split(Single("sdxl"), "vae", folder.PathOf("rest.safetensors"), part, value => value * 2);
        using var expected = StableDiffusionXLPipeline.Load(Folder("sdxl"), new PipelineOptions { Device = "cpu" });
        using var actual = StableDiffusionXLPipeline.Load(Folder("sdxl"), new PipelineOptions { Device = "cpu", Vae = part });

        using var first = expected.Generate(Request());
        using var second = actual.Generate(Request());
        TensorAssert.SameBits(first.Latents, second.Latents);
        Assert.NotEqual(first.Images[0].Pixels.ToArray(), second.Images[0].Pixels.ToArray());
        Assert.NotEqual(expected.Identity, actual.Identity);
    }

    [Fact]
    public void A_part_of_another_kind_is_refused()
    {
        var options = Options("sdxl") with { Vae = Path.Combine(Folder("sdxl"), "unet", "diffusion_pytorch_model.safetensors") };
        var error = Assert.Throws<ModelFileException>(() => DiffusionPipeline.Load(Single("sdxl"), options));
        Assert.Contains("was given as the model's vae", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_config_of_another_model_is_refused()
    {
        var error = Assert.Throws<ModelFileException>(() => DiffusionPipeline.Load(Single("sdxl"), Options("flux")));
        Assert.Contains("is of FluxPipeline", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_config_for_a_folder_has_no_effect_and_says_so()
    {
        using var pipeline = DiffusionPipeline.Load(Folder("sdxl"), Options("sdxl"));
        Assert.Contains("PipelineOptions.Config has no effect", Assert.Single(pipeline.Warnings).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_config_the_published_model_s_is_taken_which_this_one_does_not_fit()
    {
        var error = Assert.Throws<ModelFileException>(() => DiffusionPipeline.Load(Single("sdxl"), new() { Device = "cpu" }));
        Assert.StartsWith("StorySync's own sdxl/text_encoder/config.json", error.Message, StringComparison.Ordinal);
        Assert.Contains(Single("sdxl"), error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_loading_that_fails_leaves_no_tensor() => LiveTensors.AssertNoneLeft(() =>
        Assert.ThrowsAny<ModelFileException>(() => DiffusionPipeline.Load(Single("sdxl"), new() { Device = "cpu" })));

    [Fact]
    public void A_file_that_changes_is_noticed()
    {
        using var folder = new TemporaryFolder();
        var file = folder.Write("model.safetensors", File.ReadAllBytes(Single("sdxl")));
        using var pipeline = DiffusionPipeline.Load(file, Options("sdxl") with { MapWeights = true });
        File.SetLastWriteTimeUtc(file, File.GetLastWriteTimeUtc(file).AddSeconds(5));
        Assert.Throws<ModelFileException>(() => pipeline.Generate(Request()));
    }

    [Theory]
    [InlineData("flux.gguf", "flux-gguf-values.safetensors", false)]
    [InlineData("flux.gguf", "flux-gguf-values.safetensors", true)]
    [InlineData("flux-fp8.safetensors", "flux-fp8-values.safetensors", false)]
    [InlineData("flux-fp8.safetensors", "flux-fp8-values.safetensors", true)]
    public void Loose_parts_in_fewer_bits_give_the_pictures_of_their_numbers(string stored, string values, bool streams)
    {
        var root = Path.GetDirectoryName(Single("flux"))!;
        var options = Options("flux") with
        {
            Vae = Single("flux"), TextEncoder = Single("flux"), TextEncoder2 = Path.Combine(root, "t5.gguf"), StreamBlocks = streams,
        };
        using var expected = DiffusionPipeline.Load(Path.Combine(root, values), options);
        using var actual = DiffusionPipeline.Load(Path.Combine(root, stored), options);
        AssertSame(expected, actual);
    }

    [Fact]
    public void Blocks_of_a_file_count_while_their_part_works()
    {
        var root = Path.GetDirectoryName(Single("flux"))!;
        var options = Options("flux") with { TextEncoder2 = Path.Combine(root, "t5.gguf") };
        using var blocks = DiffusionPipeline.Load(Path.Combine(root, "flux.gguf"), options);
        using var values = DiffusionPipeline.Load(
            Path.Combine(root, "flux-gguf-values.safetensors"), Options("flux") with { TextEncoder2 = Single("flux") });
        long[] WeightsOf(DiffusionPipeline pipeline) => [.. pipeline.PlanMemory(Request()).Stages.Select(stage => stage.WeightBytes)];
        long All(DiffusionPipeline pipeline) => pipeline.PlanMemory(Request()).Weights.Sum(part => part.Bytes);

        Assert.All(WeightsOf(values), stage => Assert.Equal(All(values), stage));

        // The transformer's alone are in blocks: it works in the second of the three stages.
        Assert.Equal(All(blocks), WeightsOf(blocks)[1]);
        Assert.True(WeightsOf(blocks)[0] < All(blocks));
        Assert.Equal(WeightsOf(blocks)[0], WeightsOf(blocks)[2]);
    }

    /// <summary>A model's folder without its weights.</summary>
    private static string CopyConfigs(string model, TemporaryFolder folder)
    {
        foreach (var file in Directory.EnumerateFiles(Folder(model), "*", SearchOption.AllDirectories)
            .Where(file => !file.EndsWith(".safetensors", StringComparison.Ordinal)))
        {
            File.Copy(file, folder.PathOf("config/" + Path.GetRelativePath(Folder(model), file).Replace('\\', '/')));
        }

        return Path.Combine(folder.Path, "config");
    }

    private static GenerationRequest Request() => new()
    {
        Prompts = ["a red fox"], Height = 64, Width = 64, Steps = 2, Seed = 3,
    };

    private static PipelineOptions With(PipelineOptions options, string component, string part) => component switch
    {
        "vae" => options with { Vae = part },
        "text_encoder" => options with { TextEncoder = part },
        _ => options with { TextEncoder2 = part },
    };

    private static void AssertSame(DiffusionPipeline expected, DiffusionPipeline actual)
    {
        using var first = expected.Generate(Request());
        using var second = actual.Generate(Request());
        TensorAssert.SameBits(first.Latents, second.Latents);
        Assert.Equal(first.Images[0].Pixels.ToArray(), second.Images[0].Pixels.ToArray());
        using var fromImage = expected.Generate(Request() with { Images = first.Images, Strength = 1 });
        using var alsoFromImage = actual.Generate(Request() with { Images = first.Images, Strength = 1 });
        TensorAssert.SameBits(fromImage.Latents, alsoFromImage.Latents);
    }

    /// <summary>Writes a checkpoint without a component, and that component under the names it has without what they all begin
    /// with.</summary>
    private static void Split(string source, string component, string rest, string part, Func<Tensor, Tensor>? change = null)
    {
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(source);
        var prefix = (component, source == Single("sdxl")) switch
        {
            ("vae", true) => "first_stage_model.",
            ("text_encoder", true) => "conditioner.embedders.0.transformer.",
            ("text_encoder_2", true) => "conditioner.embedders.1.model.",
            ("vae", false) => "vae.",
            ("text_encoder", false) => "text_encoders.clip_l.transformer.",
            _ => "text_encoders.t5xxl.transformer.",
        };
        var tensors = file.Tensors.Keys.ToLookup(name => name.StartsWith(prefix, StringComparison.Ordinal));
        SafetensorsWriter.Write(rest, tensors[false].ToDictionary(name => name, file.Read));
        SafetensorsWriter.Write(part, tensors[true].ToDictionary(name => name[prefix.Length..], name =>
            change is null ? file.Read(name) : change(file.Read(name))));
    }
}
