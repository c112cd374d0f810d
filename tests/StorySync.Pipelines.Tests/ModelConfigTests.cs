using System.Text.Json;
using System.Text.Json.Nodes;
using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;

namespace StorySync.Pipelines.Tests;

/// <summary>What is wrong in a file of a model is said when it is loaded, by one kind of exception that names file and entry.</summary>
public class ModelConfigTests
{
    private const string Absent = "(absent)";

    /// <summary>Model, file, entry, its value as JSON, and what the message says.</summary>
    public static TheoryData<string, string, string, string, string> Faults() => new()
    {
        { "tiny-sdxl", "unet/config.json", "norm_num_groups", Absent,
            "'norm_num_groups' is 32; it must divide every number of 'block_out_channels', 24 too" },
        { "tiny-sdxl", "unet/config.json", "norm_num_groups", "32", "'norm_num_groups' is 32" },
        { "tiny-sdxl", "unet/config.json", "norm_num_groups", "3", "40 too" },
        { "tiny-sdxl", "unet/config.json", "norm_num_groups", "5", "24 too" },
        { "tiny-sdxl", "unet/config.json", "norm_num_groups", "16", "'norm_num_groups' is 16" },
        { "tiny-sdxl", "unet/config.json", "norm_num_groups", "1000000000", "'norm_num_groups' is 1000000000; it must be from 1 to 4096" },
        { "tiny-sdxl", "unet/config.json", "norm_num_groups", "0", "it must be from 1 to 4096" },
        { "tiny-sdxl", "unet/config.json", "transformer_layers_per_block", "-1",
            "'transformer_layers_per_block' is -1; it must be from 1 to 4096" },
        { "tiny-sdxl", "unet/config.json", "transformer_layers_per_block", "[1, [1, 0], 2]", "'transformer_layers_per_block' is 0" },
        { "tiny-sdxl", "unet/config.json", "transformer_layers_per_block", "4096", "'transformer_layers_per_block' is 4096, but " },
        { "tiny-sdxl", "unet/config.json", "layers_per_block", "4000", "'layers_per_block' is 4000, but " },
        { "tiny-sdxl", "unet/config.json", "attention_head_dim", "7", "does not fit the model" },
        { "tiny-sdxl", "unet/config.json", "act_fn", "\"snake\"", "unet/config.json" },
        { "tiny-sdxl", "unet/config.json", "block_out_channels", "[]", "unet/config.json" },
        { "tiny-sdxl", "unet/config.json", "block_out_channels", "16", "'block_out_channels' is 16" },
        { "tiny-sdxl", "unet/config.json", "down_block_types", "[\"DownBlock2D\"]", "down_block_types 1" },
        { "tiny-sdxl", "unet/config.json", "cross_attention_dim", "[1, 2]", "unet/config.json" },
        { "tiny-sdxl", "unet/config.json", "sample_size", "0", "'sample_size' is 0" },
        { "tiny-sdxl", "unet/config.json", "addition_time_embed_dim", "6", "'projection_class_embeddings_input_dim' of unet" },
        { "tiny-sdxl", "unet/config.json", "_class_name", "\"UNet2DModel\"",
            "'_class_name' is UNet2DModel, which is not supported here; expected UNet2DConditionModel" },
        { "tiny-sdxl", "vae/config.json", "_class_name", "\"AutoencoderTiny\"", "'_class_name' is AutoencoderTiny" },
        { "tiny-sdxl", "vae/config.json", "block_out_channels", "[32]", "each must have one for every level" },
        { "tiny-sdxl", "vae/config.json", "norm_num_groups", "7", "'norm_num_groups' is 7" },
        { "tiny-sdxl", "vae/config.json", "scaling_factor", "0", "'scaling_factor' is 0" },
        { "tiny-sdxl", "vae/config.json", "scaling_factor", "\"NaN\"", "'scaling_factor'" },
        { "tiny-sdxl", "tokenizer/tokenizer_config.json", "model_max_length", "3",
            "'model_max_length' of tokenizer is 3, that of tokenizer_2 is 77" },
        { "tiny-sdxl", "tokenizer/tokenizer_config.json", "model_max_length", "1",
            "'model_max_length' is 1; it must be from 2 to 'max_position_embeddings'" },
        { "tiny-sdxl", "tokenizer/tokenizer_config.json", "model_max_length", "0", "model_max_length is 0" },
        { "tiny-sdxl", "tokenizer/tokenizer_config.json", "model_max_length", "78",
            "'max_position_embeddings' of text_encoder, which is 77" },
        { "tiny-sdxl", "tokenizer/tokenizer_config.json", "model_max_length", "2000000000", "'model_max_length' is 2000000000" },
        { "tiny-sdxl", "tokenizer/tokenizer_config.json", "model_max_length", "\"77\"", "model_max_length is \"77\"" },
        { "tiny-sdxl", "text_encoder/config.json", "num_attention_heads", "7", "not a multiple of num_attention_heads 7" },
        { "tiny-sdxl", "text_encoder/config.json", "num_hidden_layers", "4096", "'num_hidden_layers' is 4096, but " },
        { "tiny-sdxl", "text_encoder/config.json", "hidden_act", "\"snake\"", "text_encoder/config.json" },
        { "tiny-sdxl", "scheduler/scheduler_config.json", "prediction_type", "\"flow_prediction\"",
            "'prediction_type' is flow_prediction" },
        { "tiny-sdxl", "scheduler/scheduler_config.json", "num_train_timesteps", "2000000000",
            "'num_train_timesteps' is 2000000000; it must be from" },
        { "tiny-sdxl", "scheduler/scheduler_config.json", "beta_start", "1", "'beta_start' 1" },
        { "tiny-sdxl", "scheduler/scheduler_config.json", "beta_start", "1e400", "'beta_start'" },
        { "tiny-sdxl", "scheduler/scheduler_config.json", "sigma_max", "-1", "'sigma_max' is -1" },
        { "tiny-sdxl", "model_index.json", "_class_name", "[\"pipeline\", \"StableDiffusionXLPipeline\"]", "'_class_name' is the list" },
        { "tiny-sdxl", "model_index.json", "_class_name", "7", "'_class_name' is 7" },
        { "tiny-sdxl", "model_index.json", "_class_name", "\"StableDiffusionXLPAGPipeline\"",
            "StableDiffusionXLPAGPipeline, which is not supported" },
        { "tiny-sdxl", "model_index.json", "_class_name", Absent, "there is no '_class_name'" },
        { "tiny-sdxl", "model_index.json", "scheduler", "[\"diffusers\", \"SASolverScheduler\"]", "'scheduler' is SASolverScheduler" },
        { "tiny-sdxl", "model_index.json", "scheduler", "[\"diffusers\", \"FlowMatchEulerDiscreteScheduler\"]",
            "was not trained by flow matching" },
        { "tiny-sdxl", "model_index.json", "unet", "7", "'unet' is 7; this model needs the component" },
        { "tiny-sdxl", "model_index.json", "vae", "null", "'vae' is null; this model needs the component" },
        { "tiny-sdxl", "model_index.json", "text_encoder_2", "[null, null]", "'text_encoder_2' is [null, null]; this model needs" },
        { "tiny-sdxl", "model_index.json", "tokenizer", "[\"transformers\"]", "'tokenizer' is [\"transformers\"]; this model needs" },
        { "tiny-sdxl", "model_index.json", "scheduler", "\"EulerDiscreteScheduler\"", "'scheduler' is \"EulerDiscreteScheduler\"; this" },
        { "tiny-flux", "model_index.json", "transformer", "[\"diffusers\", null]", "'transformer' is [\"diffusers\", null]; this model" },
        { "tiny-flux", "model_index.json", "text_encoder_2", "{}", "'text_encoder_2' is {}; this model needs the component" },
        { "tiny-kandinsky3", "model_index.json", "movq", "[1, 2]", "'movq' is [1, 2]; this model needs the component" },
        { "tiny-sdxl", "model_index.json", "requires_aesthetics_score", "true", "refiner" },
        { "tiny-flux", "transformer/config.json", "num_layers", "100000", "'num_layers' is 100000; it must be from 0 to 4096" },
        { "tiny-flux", "transformer/config.json", "num_layers", "4096", "'num_layers' is 4096, but " },
        { "tiny-flux", "transformer/config.json", "num_single_layers", "4096", "'num_single_layers' is 4096, but " },
        { "tiny-flux", "transformer/config.json", "num_layers", "1000000000", "'num_layers' is 1000000000" },
        { "tiny-flux", "transformer/config.json", "num_attention_heads", "2147483647",
            "'num_attention_heads' is 2147483647; it must be from 1 to 4096" },
        { "tiny-flux", "transformer/config.json", "axes_dims_rope", "[2147483646, 2, 2]",
            "'axes_dims_rope' is 2147483646; it must be from 2 to 8192" },
        { "tiny-flux", "transformer/config.json", "axes_dims_rope", "[]", "axes_dims_rope" },
        { "tiny-flux", "transformer/config.json", "in_channels", "99999999999999999999", "'in_channels'" },
        { "tiny-flux", "vae/config.json", "layers_per_block", "1000000", "'layers_per_block' is 1000000; it must be from 1 to 4096" },
        { "tiny-flux", "vae/config.json", "layers_per_block", "4096", "'layers_per_block' is 4096, but " },
        { "tiny-flux", "text_encoder_2/config.json", "relative_attention_max_distance", "3",
            "'relative_attention_max_distance' is 3; it must be more than a quarter of 'relative_attention_num_buckets'" },
        { "tiny-flux", "text_encoder_2/config.json", "feed_forward_proj", "\"gated-snake\"", "text_encoder_2/config.json" },
        { "tiny-flux", "text_encoder_2/config.json", "num_layers", "4096", "'num_layers' is 4096, but " },
        { "tiny-flux", "scheduler/scheduler_config.json", "shift", "-1", "'shift' is -1" },
        { "tiny-flux", "scheduler/scheduler_config.json", "base_image_seq_len", "4096", "they must differ" },
        { "tiny-flux", "model_index.json", "scheduler", "[\"diffusers\", \"EulerDiscreteScheduler\"]",
            "expected FlowMatchEulerDiscreteScheduler" },
        { "tiny-kandinsky3", "unet/config.json", "groups", "7", "unet/config.json" },
        { "tiny-kandinsky3", "unet/config.json", "layers_per_block", "4096", "'layers_per_block' is 4096, but " },
        { "tiny-kandinsky3", "movq/config.json", "norm_type", "\"batch\"", "'norm_type' is batch" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void A_wrong_entry_is_named_with_its_file_when_a_model_is_loaded(string model, string file, string key, string value,
        string message)
    {
        if (file == "unet/config.json")
        {
            // The messages say this model's sizes.
            ReferenceData.RequireFile(
                "models/tiny-sdxl/unet/diffusion_pytorch_model.safetensors", "e5c1f27d373fe7c2f7283cab0d39b5bffe0a3a6e941f6df604d9611f875f7027");
        }

        using var copy = new ModelCopy(model);
        if (value == Absent)
        {
            copy.Remove(file, key);
        }
        else
        {
            Replace(copy, file, key, value);
        }

        var error =
            Assert.ThrowsAny<ModelFileException>(() => DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu" }).Dispose());

        Assert.StartsWith(copy.Path, error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("(Parameter", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(" at ", error.Message.Replace(copy.Path, "", StringComparison.Ordinal).Split("at least")[0],
            StringComparison.Ordinal);
    }

    [Fact]
    public void The_number_of_sentinel_tokens_is_bounded()
    {
        using var copy = new ModelCopy("tiny-flux").Delete("tokenizer_2/tokenizer.json");
        Replace(copy, "tokenizer_2/tokenizer_config.json", "extra_ids", "1e308");
        var error = Assert.ThrowsAny<ModelFileException>(() => DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu" }));
        Assert.Contains("extra_ids is 1E+308; it must be a whole number from 0 to", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_size_of_an_image_processor_is_bounded()
    {
        using var copy =
            new ModelCopy("tiny-clip").Set("preprocessor_config.json", "size", new JsonObject { ["shortest_edge"] = int.MaxValue });
        var error = Assert.ThrowsAny<ModelFileException>(() => CLIPImageProcessor.Load(ModelFolder.Open(copy.Path)));
        Assert.Contains("'size'", error.Message, StringComparison.Ordinal);
        Assert.Contains("from 1 to 16384", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_without_an_index_is_said_to_have_none()
    {
        using var copy = new ModelCopy("tiny-sdxl").Delete("model_index.json");
        Assert.Contains("model_index.json: there is no such file", Error(copy), StringComparison.Ordinal);
        Directory.CreateDirectory(Path.Combine(copy.Path, "snapshots"));
        Assert.Contains("a model's folder in the Hugging Face cache", Error(copy), StringComparison.Ordinal);
    }

    [Fact]
    public void A_comma_too_many_is_said_without_advice_to_programmers()
    {
        using var copy = new ModelCopy("tiny-sdxl").Write("unet/config.json", "{\n  \"act_fn\": \"silu\",\n}");
        var error = Error(copy);
        Assert.Contains("unet/config.json: no valid JSON in line 3", error, StringComparison.Ordinal);
        Assert.DoesNotContain("reader", error, StringComparison.Ordinal);
    }

    [Fact]
    public void Null_is_false_where_Python_takes_it_for_that()
    {
        using var withNull = new ModelCopy("tiny-sdxl").Set("model_index.json", "force_zeros_for_empty_prompt", null);
        using var withFalse = new ModelCopy("tiny-sdxl").Set("model_index.json", "force_zeros_for_empty_prompt", false);
        using var without = new ModelCopy("tiny-sdxl").Remove("model_index.json", "force_zeros_for_empty_prompt");

        Assert.Equal(Picture(withFalse), Picture(withNull));
        Assert.NotEqual(Picture(without), Picture(withNull));
    }

    [Theory]
    [InlineData("null")]
    [InlineData("[null, null]")]
    [InlineData("7")]
    public void What_no_part_of_the_model_asks_for_in_the_index_is_passed_over(string value)
    {
        using var plain = new ModelCopy("tiny-sdxl");
        using var copy = new ModelCopy("tiny-sdxl");
        Replace(copy, "model_index.json", "image_encoder", value);
        Replace(copy, "model_index.json", "feature_extractor", value);

        Assert.Equal(Picture(plain), Picture(copy));
    }

    /// <summary>diffusers takes 77, the length that the encoder has; transformers writes 10³⁰ where it knows none.</summary>
    [Theory]
    [InlineData(Absent)]
    [InlineData("1000000000000000019884624838656")]
    public void A_tokenizer_without_a_length_has_that_of_its_encoder(string value)
    {
        using var plain = new ModelCopy("tiny-sdxl");
        using var copy = new ModelCopy("tiny-sdxl");
        foreach (var file in (string[])["tokenizer/tokenizer_config.json", "tokenizer_2/tokenizer_config.json"])
        {
            copy.Remove(file, "model_max_length");
            if (value != Absent)
            {
                Replace(copy, file, "model_max_length", value);
            }
        }

        Assert.Equal(Picture(plain), Picture(copy));
    }

    /// <summary>The form of SSD-1B's config: a list for the resnets of a level. The lists say here what the reference's numbers
    /// say.</summary>
    [Fact]
    public void Numbers_of_transformers_are_read_for_each_resnet_too()
    {
        using var plain = new ModelCopy("tiny-sdxl");
        using var copy = new ModelCopy("tiny-sdxl");
        using var config = JsonDocument.Parse(File.ReadAllText(copy.PathOf("unet/config.json")));
        var depths = config.RootElement.GetProperty("transformer_layers_per_block").EnumerateArray().Select(depth =>
            depth.GetInt32()).ToList();
        var resnets = config.RootElement.GetProperty("layers_per_block").GetInt32();
        copy.Set("unet/config.json", "transformer_layers_per_block", Lists(depths, resnets));
        copy.Set("unet/config.json", "reverse_transformer_layers_per_block", Lists(Enumerable.Reverse(depths), resnets + 1));

        Assert.Equal(Picture(plain), Picture(copy));

        static JsonArray Lists(IEnumerable<int> depths, int count) =>
            [.. depths.Select(depth => new JsonArray([.. Enumerable.Repeat(depth, count).Select(value => JsonValue.Create(value))]))];
    }

    internal static byte[] Picture(ModelCopy copy)
    {
        using var pipeline = DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu" });
        using var result =
            pipeline.Generate(new GenerationRequest { Prompts = ["a red fox"], Height = 64, Width = 64, Steps = 2, Seed = 1 });
        return result.Images[0].Pixels.ToArray();
    }

    private static string Error(ModelCopy copy) => Assert.ThrowsAny<ModelFileException>(
        () => DiffusionPipeline.Load(copy.Path, new PipelineOptions { Device = "cpu" })).Message;

    /// <summary>Sets an entry to a value that JSON's classes cannot hold, such as 1e400.</summary>
    private static void Replace(ModelCopy copy, string file, string key, string value)
    {
        const string placeholder = "placeholder-of-the-value";
        copy.Set(file, key, placeholder);
        copy.Write(file, File.ReadAllText(copy.PathOf(file)).Replace($"\"{placeholder}\"", value, StringComparison.Ordinal));
    }
}
