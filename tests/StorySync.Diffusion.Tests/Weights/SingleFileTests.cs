using System.IO.Compression;
using System.Text.Json;
using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Flux;
using StorySync.Diffusion.Schedulers;
using StorySync.Diffusion.Sdxl;
using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Tokenizers;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Weights;

public class SingleFileTests
{
    /// <summary>Names and shapes of the published files, which diffusers' own converters turned into those of the folders.</summary>
    private static ShapesOnly Published(string name)
    {
        using var file = new GZipStream(
            File.OpenRead(Path.Combine(ReferenceData.OwnRoot, "single", name + ".json.gz")), CompressionMode.Decompress);
        return new(JsonSerializer.Deserialize<Dictionary<string, long[]>>(file)!);
    }

    [Fact]
    public void Sdxl_as_it_is_published_has_the_tensors_of_the_known_configs()
    {
        var known = SingleFile.Of(Published("sdxl"));
        Assert.Equal("StableDiffusionXLPipeline", known.ClassName);
        AssertFits(known, "sdxl", "unet", (UNet2DConditionConfig config) => new UNet2DConditionModel(config));
        AssertFits(known, "sdxl", "vae", (AutoencoderKLConfig config) => new AutoencoderKL(config));
        AssertFits(known, "sdxl", "text_encoder", (CLIPTextConfig config) => new CLIPTextModel(config));
        AssertFits(known, "sdxl", "text_encoder_2", (CLIPTextConfig config) => new CLIPTextModelWithProjection(config));
    }

    [Fact]
    public void Flux_as_it_is_published_has_the_tensors_of_the_known_configs()
    {
        var known = SingleFile.Of(Published("flux-dev"));
        Assert.Equal("FluxPipeline", known.ClassName);
        AssertFits(known, "flux-dev", "transformer", (FluxTransformer2DConfig config) => new FluxTransformer2DModel(config));
        AssertFits(known, "flux-dev", "vae", (AutoencoderKLConfig config) => new AutoencoderKL(config));
        AssertFits(known, "flux-dev", "text_encoder", (CLIPTextConfig config) => new CLIPTextModel(config));
        AssertFits(known, "flux-dev", "text_encoder_2", (T5Config config) => new T5EncoderModel(config));
    }

    [Theory]
    [InlineData("sdxl", "sdxl-unet", "unet")]
    [InlineData("sdxl", "sdxl-vae", "vae")]
    [InlineData("flux-dev", "flux-vae", "vae")]
    [InlineData("sdxl", "sdxl-text-encoder", "text_encoder")]
    [InlineData("sdxl", "sdxl-text-encoder-2", "text_encoder_2")]
    [InlineData("flux-dev", "t5-xxl-encoder", "text_encoder_2")]
    public void The_known_configs_are_those_of_the_published_folders(string model, string manifest, string component)
    {
        var known = Config(SingleFile.Of(Published(model)), component);
        var config = ReferenceData.Json($"manifests/{manifest}.json").GetProperty("config");
        foreach (var entry in known.EnumerateObject().Where(entry => entry.Name[0] != '_'))
        {
            Assert.True(JsonElement.DeepEquals(config.GetProperty(entry.Name), entry.Value), entry.Name);
        }
    }

    [Fact]
    public void Guidance_makes_a_flux_checkpoint_dev()
    {
        var dev = SingleFile.Of(Published("flux-dev"));
        var schnell = SingleFile.Of(Published("flux-dev").Without("guidance_in."));
        Assert.True(Scheduler(dev).GetProperty("use_dynamic_shifting").GetBoolean());
        Assert.Equal(3, Scheduler(dev).GetProperty("shift").GetDouble());
        Assert.False(Scheduler(schnell).GetProperty("use_dynamic_shifting").GetBoolean());
        Assert.Equal(1, Scheduler(schnell).GetProperty("shift").GetDouble());
    }

    [Fact]
    public void Markers_and_channels_of_a_checkpoint_change_the_known_configs()
    {
        var usual = SingleFile.Of(Published("sdxl"));
        Assert.Equal("epsilon", Scheduler(usual).GetProperty("prediction_type").GetString());
        var marked = SingleFile.Of(Published("sdxl").With("v_pred", 1).With("ztsnr", 1)
            .With("model.diffusion_model.input_blocks.0.0.weight", 320, 9, 3, 3));
        Assert.Equal("v_prediction", Scheduler(marked).GetProperty("prediction_type").GetString());
        Assert.True(Scheduler(marked).GetProperty("rescale_betas_zero_snr").GetBoolean());
        Assert.Equal(9, Config(marked, "unet").GetProperty("in_channels").GetInt32());
    }

    [Fact]
    public void Playground_has_the_schedule_of_EDM_and_statistics_of_its_latents()
    {
        var file = SingleFile.Of(Published("sdxl").With("edm_mean", 4).With("edm_std", 1, 4, 1, 1));
        Assert.IsType<EDMDPMSolverMultistepScheduler>(
            StorySync.Diffusion.Schedulers.Scheduler.FromConfig(Scheduler(file)));
        var vae = Config(file, "vae");
        Assert.Equal([0, 0, 0, 0], vae.GetProperty("latents_mean").EnumerateArray().Select(value => value.GetDouble()));
        Assert.Equal(4, vae.GetProperty("latents_std").GetArrayLength());
        Assert.Equal(0.5, vae.GetProperty("scaling_factor").GetDouble());
    }

    [Theory]
    [InlineData("SDXL's refiner", "conditioner.embedders.0.model.transformer.resblocks.9.mlp.c_proj.bias", 5)]
    [InlineData("Stable Diffusion 1.x", "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight", 77, 768)]
    [InlineData("Stable Diffusion 1.x", "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", 320, 768)]
    [InlineData("Stable Diffusion 2.x", "cond_stage_model.model.token_embedding.weight", 49408, 1024)]
    [InlineData("Stable Diffusion 2.x", "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", 320, 1024)]
    [InlineData("Stable Diffusion 3", "model.diffusion_model.joint_blocks.0.context_block.adaLN_modulation.1.bias", 5)]
    [InlineData("Chroma", "distilled_guidance_layer.in_proj.bias", 5)]
    [InlineData("HunyuanVideo", "txt_in.individual_token_refiner.blocks.0.adaLN_modulation.1.bias", 5)]
    [InlineData("FLUX.2", "model.diffusion_model.single_stream_modulation.lin.weight", 5, 5)]
    public void Other_models_are_refused_by_their_name(string name, string tensor, params int[] shape)
    {
        var error = Assert.Throws<ModelFileException>(() => SingleFile.Of(new ShapesOnly([]).With(tensor, [.. shape])));
        Assert.Contains($"it is {name}", error.Message, StringComparison.Ordinal);
        Assert.Contains("expected SDXL or FLUX.1", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_refiner_is_known_by_its_width_without_its_text_encoder()
    {
        var refiner = new ShapesOnly([]).With("input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight", 768, 1280)
            .With("label_emb.0.0.weight", 1536, 2560).With("input_blocks.0.0.weight", 384, 4, 3, 3);
        Assert.Contains("refiner", Assert.Throws<ModelFileException>(() => SingleFile.Of(refiner)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("lora_unet_down_blocks_1_to_k.lora_down.weight", "a LoRA's")]
    [InlineData("first_stage_model.decoder.conv_in.weight", "a single file's")]
    [InlineData("any.weight", "expected a single-file checkpoint")]
    public void A_file_without_a_denoiser_is_refused(string tensor, string said)
    {
        var error = Assert.Throws<ModelFileException>(() => SingleFile.Of(new ShapesOnly([]).With(tensor, 4, 4)));
        Assert.Contains("no SDXL or FLUX.1 denoiser", error.Message, StringComparison.Ordinal);
        Assert.Contains(said, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("sdxl.safetensors", "unet", "vae", "text_encoder", "text_encoder_2")]
    [InlineData("flux.safetensors", "transformer", "vae", "text_encoder", "text_encoder_2")]
    public void Tensors_stay_views_of_the_file(string name, params string[] components)
    {
        using var scope = NewDisposeScope();
        var path = Path.Combine(ReferenceData.OwnRoot, "single", name);
        foreach (var component in components)
        {
            using var source = SingleFile.Open(path).TryOpen(component, maps: true)!;
            var copied = source.Tensors.Keys.Where(tensor => !((IMappedTensorSource)source).IsView(tensor)).ToList();

            // What the two layouts hold in another order of values.
            Assert.Equal(
                (component) switch
                {
                    "text_encoder_2" when name[0] == 's' => ["text_projection.weight"],
                    "transformer" => ["norm_out.linear.bias", "norm_out.linear.weight"],
                    _ => [],
                },
                copied.Order());
            foreach (var (tensor, info) in source.Tensors)
            {
                Assert.Equal(info.Shape, source.Read(tensor).shape);
            }
        }
    }

    [Theory]
    [InlineData("sdxl", "tokenizer", "real-clip")]
    [InlineData("sdxl", "tokenizer_2", "real-clip-pad-bang")]
    [InlineData("flux-dev", "tokenizer", "real-clip")]
    [InlineData("flux-dev", "tokenizer_2", "real-t5")]
    public void The_vocabularies_give_the_ids_of_transformers(string model, string component, string golden)
    {
        var cases = ReferenceData.Json($"tokenizers/{golden}.json").GetProperty("cases");
        var tokenizer = TokenizerFolder.Load(SingleFile.Of(Published(model)).Known, component);
        Assert.All(cases.EnumerateArray(), golden => Assert.Equal(
            golden.GetProperty("ids").EnumerateArray().Select(id => id.GetInt64()),
            tokenizer.Encode(golden.GetProperty("text").GetString()!).Ids));
    }

    [Fact]
    public void The_vocabulary_of_the_merges_is_that_of_the_published_file()
    {
        var expected = ReferenceData.Json("vocab/clip/vocab.json");
        var merges = File.ReadAllText(ReferenceData.PathOf("vocab/clip/merges.txt"));
        var vocabulary = BytePairEncoder.ClipVocabulary(merges);
        Assert.Equal(expected.EnumerateObject().Count(), vocabulary.Count);
        Assert.All(expected.EnumerateObject(), entry => Assert.Equal(entry.Value.GetInt32(), vocabulary[entry.Name]));
    }

    [Fact]
    public void Two_tensors_of_one_name_are_an_error()
    {
        var both = Published("flux-dev").With("model.diffusion_model.x_embedder.bias", 3072);
        Assert.Contains("are both 'x_embedder.bias'", Assert.Throws<ModelFileException>(() => StoredPart.Of("transformer", both)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_tensor_that_no_table_knows_is_kept_and_reported()
    {
        using var source = StoredPart.Of("unet", Published("sdxl").With("model.diffusion_model.extra.weight", 3))!;
        Assert.Contains("extra.weight", source.Tensors.Keys);
    }

    private static JsonElement Config(SingleFile file, string component) => Json(file, component, "config.json");

    private static JsonElement Scheduler(SingleFile file) => Json(file, "scheduler", "scheduler_config.json");

    private static JsonElement Json(SingleFile file, string component, string name) =>
        JsonFile.Read(file.Known.TryRead(component, name)!, root => root.Clone());

    private static void AssertFits<TConfig, TModel>(SingleFile known, string published, string component, Func<TConfig, TModel> build)
        where TConfig : class
        where TModel : nn.Module
    {
        using var model = build(ComponentConfig.Read<TConfig>(known.Known.TryRead(component, "config.json")!));
        using var source = StoredPart.Of(component, Published(published))!;

        // T5's table of tokens has two names, of which files hold one.
        var expected = CheckpointShapes.Of(model).Shapes.Select(entry => $"{entry.Key} {ShapeText.Of(entry.Value)}");
        Assert.Equal(expected.Order(StringComparer.Ordinal),
            source.Tensors.Values.Select(info => $"{info.Name} {ShapeText.Of(info.Shape)}").Order(StringComparer.Ordinal));
    }

    /// <summary>A checkpoint of which only the header is there.</summary>
    private sealed class ShapesOnly(Dictionary<string, long[]> shapes) : ITensorSource
    {
        public string Path => "shapes";

        public IReadOnlyDictionary<string, TensorInfo> Tensors { get; } =
            shapes.ToDictionary(s => s.Key, s => new TensorInfo(s.Key, SafetensorsDtype.F16, s.Value));

        public ShapesOnly With(string name, params long[] shape) => new(new Dictionary<string, long[]>(shapes) { [name] = shape });

        public ShapesOnly Without(string part) => new(shapes
            .Where(entry => !entry.Key.Contains(part, StringComparison.Ordinal)).ToDictionary(entry => entry.Key, entry => entry.Value));

        public Tensor Read(string name) => zeros(shapes[name]);

        public void Dispose()
        {
        }
    }
}
