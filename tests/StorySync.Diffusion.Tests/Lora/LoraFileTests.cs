using StorySync.Diffusion.Lora;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Lora;

public class LoraFileTests
{
    private const string Layer = "unet.attn1.to_q";

    /// <summary>The names that diffusers maps to PEFT's (utils/state_dict_utils.py), and kohya's.</summary>
    [Theory]
    [InlineData("unet.attn1.to_q.lora_A.weight", "unet.attn1.to_q.lora_B.weight")]
    [InlineData("unet.attn1.to_q.lora.down.weight", "unet.attn1.to_q.lora.up.weight")]
    [InlineData("unet.attn1.to_q.lora_linear_layer.down.weight", "unet.attn1.to_q.lora_linear_layer.up.weight")]
    [InlineData("unet.attn1.to_q.lora_down.weight", "unet.attn1.to_q.lora_up.weight")]
    [InlineData("unet.attn1.processor.to_q_lora.down.weight", "unet.attn1.processor.to_q_lora.up.weight")]
    [InlineData("unet.attn1.to_q_lora.down.weight", "unet.attn1.to_q_lora.up.weight")]
    [InlineData("unet.attn1.processor.to_q.lora.down.weight", "unet.attn1.processor.to_q.lora.up.weight")]
    [InlineData("attn1.to_q.lora_A.weight", "attn1.to_q.lora_B.weight")]
    [InlineData("attn1.processor.to_q_lora.down.weight", "attn1.processor.to_q_lora.up.weight")]
    [InlineData("lora_unet_attn1_to_q.lora_down.weight", "lora_unet_attn1_to_q.lora_up.weight")]
    [InlineData("diffusion_model.attn1.to_q.lora_down.weight", "diffusion_model.attn1.to_q.lora_up.weight")]
    [InlineData("base_model.model.attn1.to_q.lora_A.weight", "base_model.model.attn1.to_q.lora_B.weight")]
    public void Every_name_of_a_matrix_means_the_same(string down, string up) =>
        Assert.Equal(1, Scale(file => file with { Down = down, Up = up }), 6);

    /// <summary>PEFT's LoraLayer.update_layer: alpha / r, or alpha / √r with use_rslora; its patterns match the end of a layer's name, the
    /// first one wins; lora_alpha is 8 by default.</summary>
    [Theory]
    [InlineData("""{"unet.r": 4, "unet.lora_alpha": 8}""", 2)]
    [InlineData("""{"unet.r": 4, "unet.lora_alpha": 8, "unet.use_rslora": true}""", 4)]
    [InlineData("""{"unet.r": 4, "unet.lora_alpha": 8, "unet.use_rslora": false}""", 2)]
    [InlineData("""{"unet.r": 4, "unet.lora_alpha": 8, "unet.alpha_pattern": {"attn1.to_q": 16}}""", 4)]
    [InlineData("""{"unet.r": 4, "unet.lora_alpha": 8, "unet.alpha_pattern": {"to_q": 16}, "unet.use_rslora": true}""", 8)]
    [InlineData("""{"unet.r": 4, "unet.lora_alpha": 8, "unet.alpha_pattern": {"o_q": 16}}""", 2)]
    [InlineData("""{"unet.r": 4, "unet.lora_alpha": 8, "unet.alpha_pattern": {"attn1": 16}}""", 2)]
    [InlineData("""{"unet.r": 4, "unet.lora_alpha": 8, "unet.alpha_pattern": {"to_k": 32, "attn\\d.to_[qk]": 16, "to_q": 32}}""", 4)]
    [InlineData("""{"unet.r": 16, "unet.lora_alpha": 8, "unet.rank_pattern": {"to_q": 4}}""", 2)]
    [InlineData("""{"unet.r": 16, "unet.lora_alpha": 8, "unet.rank_pattern": {"to_q": 4}, "unet.use_rslora": true}""", 4)]
    [InlineData("""{"unet.r": 4, "unet.target_modules": ["to_q"], "unet.use_dora": false}""", 2)]
    [InlineData("""{"unet.r": 4, "unet.lora_alpha": 8, "unet.alpha_pattern": null}""", 2)]
    [InlineData("""{"text_encoder.r": 4, "text_encoder.lora_alpha": 8}""", 1)]
    [InlineData("""{"r": 4, "lora_alpha": 8}""", 1)]
    [InlineData("{}", 1)]
    [InlineData("", 1)]
    public void Metadata_scales_as_PEFT_does(string metadata, double scale) =>
        Assert.Equal(scale, Scale(file => file with { Metadata = metadata }), 6);

    /// <summary>What a model's own <c>save_lora_adapter</c> writes has no component in its names.</summary>
    [Theory]
    [InlineData("""{"r": 4, "lora_alpha": 8}""", 2)]
    [InlineData("""{"r": 4, "lora_alpha": 8, "use_rslora": true}""", 4)]
    [InlineData("""{"r": 4, "lora_alpha": 8, "alpha_pattern": {"attn1.to_q": 16}}""", 4)]
    [InlineData("""{"unet.r": 4, "unet.lora_alpha": 8}""", 1)]
    [InlineData("""{"peft_version": "0.18"}""", 1)]
    public void Metadata_without_a_component_is_that_of_layers_without_one(string metadata, double scale) =>
        Assert.Equal(scale, Scale(file => file with
        {
            Down = "attn1.to_q.lora_A.weight", Up = "attn1.to_q.lora_B.weight", Metadata = metadata,
        }), 6);

    /// <summary>The early names of diffusers (utils/state_dict_utils.py, DIFFUSERS_OLD_TO_PEFT) and kohya's.</summary>
    [Theory]
    [InlineData("text_encoder.layers.0.self_attn.to_{0}_lora")]
    [InlineData("text_encoder.layers.0.self_attn.{0}_proj.lora_linear_layer")]
    [InlineData("text_encoder.layers.0.self_attn.{0}_proj.lora")]
    [InlineData("lora_te1_layers_0_self_attn_{0}_proj.lora_")]
    public void Early_names_of_a_text_encoders_projections_are_known(string name)
    {
        using var scope = NewDisposeScope();
        string[] projections = ["q", "k", "v", "out"];
        using var attention = nn.Sequential([.. projections.Select(p => ($"{p}_proj", (nn.Module<Tensor, Tensor>)nn.Linear(3, 3)))]);
        using var encoder = nn.Sequential(("layers", nn.Sequential(("0", nn.Sequential(("self_attn", attention))))));
        using var loras = new LoraAdapters([("text_encoder", encoder, null)]);
        using var folder = new TemporaryFolder();
        var path = folder.PathOf("text.safetensors");
        SafetensorsWriter.Write(path, projections.SelectMany((projection, i) =>
        {
            var layer = string.Format(System.Globalization.CultureInfo.InvariantCulture, name, projection);
            var dot = layer.EndsWith('_') ? "" : ".";
            return new (string Name, Tensor Value)[]
            {
                ($"{layer}{dot}down.weight", ones(2, 3)), ($"{layer}{dot}up.weight", full([3, 2], i + 1f)),
            };
        }).ToDictionary(tensor => tensor.Name, tensor => tensor.Value));
        var before = attention.parameters().Where(parameter => parameter.dim() == 2).Select(parameter => parameter.clone()).ToList();
        loras.Load(path);

        var after = attention.parameters().Where(parameter => parameter.dim() == 2).ToList();
        var added = after.Zip(before, (now, then) => (now - then).mean().item<float>());
        Assert.Equal([2f, 4, 6, 8], added.Select(mean => float.Round(mean, 3)));
    }

    /// <summary>Layers outside the blocks, by their names in Stability's code (diffusers' lora_conversion_utils.py).</summary>
    [Theory]
    [InlineData("input_blocks_0_0", "conv_in")]
    [InlineData("out_2", "conv_out")]
    [InlineData("time_embed_0", "time_embedding.linear_1")]
    [InlineData("time_embed_2", "time_embedding.linear_2")]
    [InlineData("label_emb_0_0", "add_embedding.linear_1")]
    [InlineData("label_emb_0_2", "add_embedding.linear_2")]
    [InlineData("time_embedding_linear_1", "time_embedding.linear_1")]
    public void Kohyas_names_of_layers_outside_the_blocks_are_known(string name, string layer)
    {
        using var scope = NewDisposeScope();
        using var model = StorySync.Diffusion.Sdxl.UNet2DConditionModel.Load(ModelFolder.Open(ReferenceData.PathOf("models/tiny-sdxl")));
        using var loras = new LoraAdapters([("unet", model, model.Config.LayersPerBlock[0])]);
        using var folder = new TemporaryFolder();
        var path = folder.PathOf("kohya.safetensors");
        ModuleTensors.ParametersOf(model).Single(parameter => parameter.Name == $"{layer}.weight").Materialize();
        var weight = model.get_parameter($"{layer}.weight")!;
        var before = weight.clone();
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor>
        {
            [$"lora_unet_{name}.lora_down.weight"] = ones([2, .. weight.shape[1..]]),
            [$"lora_unet_{name}.lora_up.weight"] = ones([weight.shape[0], 2, .. Enumerable.Repeat(1L, weight.shape.Length - 2)]),
            [$"lora_unet_{name}.alpha"] = tensor(1f),
        });
        loras.Load(path);

        Assert.InRange((weight - before - 1).abs().max().item<float>(), 0, 1e-6f);
    }

    [Theory]
    [InlineData(8f, 2)]
    [InlineData(0f, 0)]
    public void An_alpha_of_its_own_scales_a_layer(float alpha, double scale) =>
        Assert.Equal(scale, Scale(file => file with { Alpha = tensor(alpha) }), 6);

    [Fact]
    public void Layers_of_rank_0_are_passed_over()
    {
        using var scope = NewDisposeScope();
        using var module = Module();
        using var loras = new LoraAdapters([("unet", module, null)]);
        using var folder = new TemporaryFolder();
        var before = module.get_parameter("attn1.to_q.weight")!.clone();
        var path = folder.PathOf("rank0.safetensors");
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor>
        {
            ["unet.attn1.to_q.lora_A.weight"] = empty(0, 5),
            ["unet.attn1.to_q.lora_B.weight"] = empty(3, 0),
            ["unet.attn1.to_k.lora_A.weight"] = ones(1, 5),
            ["unet.attn1.to_k.lora_B.weight"] = ones(3, 1),
        });
        loras.Load(path);

        Assert.True(before.equal(module.get_parameter("attn1.to_q.weight")!).all().item<bool>());
    }

    public static TheoryData<string, string> Faults() => new()
    {
        { "down-of-no-axes", "'unet.attn1.to_q' has matrices of the shapes [3, 4] (up) and [] (down)" },
        { "up-of-one-axis", "'unet.attn1.to_q' has matrices of the shapes [3] (up)" },
        { "ranks-differ", "'unet.attn1.to_q' has matrices of the shapes [3, 4] (up) and [5, 5]" },
        { "other-size", "do not fit a weight of [3, 5]" },
        { "integers", "is stored as I32; expected BF16, F16, F32 or F64" },
        { "not-finite", "'unet.attn1.to_q.lora_A.weight' holds a value that is not finite" },
        { "alpha-of-two-values", "the alpha of layer 'unet.attn1.to_q' has the shape [2]; it must be one number" },
        { "alpha-not-finite", "the alpha of layer 'unet.attn1.to_q' is NaN; it must be a finite number" },
        { "alpha-and-metadata", "has an alpha of its own, and lora_adapter_metadata names one too" },
        { "no-up", "lacks the matrix up (lora_B)" },
        { "alpha-alone", "has an alpha alone" },
        { "twice", "is there twice" },
        { "no-tensors", "it holds no tensors" },
        { "rank-0-only", "has rank 0" },
        { "foreign-tensor", "'unet.attn1.to_q.weight' is not a tensor of a LoRA" },
        { "foreign-layer", "1 of its 1 layers are none of this model's, 'unet.nowhere' for example" },
        { "dora", "which do not fit a weight of [3, 5]" },
        { "loha", "'lora_unet_attn1_to_q' lacks the tensor hada_w1_b" },
        { "lokr", "'lora_unet_attn1_to_q' lacks the tensor lokr_w2_a" },
        { "bias", "full weights or biases" },
        { "another-model", "'lora_unet_double_blocks_0_img_attn_qkv' for example: the LoRA was made for another kind of model" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void A_file_at_fault_is_refused_by_name_and_leaves_the_model_as_it_was(string fault, string message)
    {
        using var scope = NewDisposeScope();
        Content Without(string layer) => new Content() with { Down = layer + ".lora_A.weight", Up = layer + ".lora_B.weight" };
        var content = fault switch
        {
            "down-of-no-axes" => new Content { DownValues = tensor(1f) },
            "up-of-one-axis" => new Content { UpValues = ones(3) },
            "ranks-differ" => new Content { DownValues = ones(5, 5) },
            "other-size" => new Content { DownValues = ones(4, 6) },
            "integers" => new Content { DownValues = ones([4, 5], ScalarType.Int32) },
            "not-finite" => new Content { DownValues = full([4, 5], float.PositiveInfinity) },
            "alpha-of-two-values" => new Content { Alpha = ones(2) },
            "alpha-not-finite" => new Content { Alpha = tensor(float.NaN) },
            "alpha-and-metadata" => new Content { Alpha = tensor(1f), Metadata = """{"unet.lora_alpha": 8}""" },
            "no-up" => new Content { Up = null },
            "alpha-alone" => new Content { Up = null, Down = null, Alpha = tensor(1f) },
            "twice" => new Content { More = Layer + ".lora_down.weight" },
            "no-tensors" => new Content { Up = null, Down = null },
            "rank-0-only" => new Content { DownValues = empty(0, 5), UpValues = empty(3, 0) },
            "foreign-tensor" => new Content { More = Layer + ".weight" },
            "foreign-layer" => Without("unet.nowhere"),
            "dora" => new Content { More = Layer + ".lora_magnitude_vector" },
            "loha" => new Content { Down = "lora_unet_attn1_to_q.hada_w1_a" },
            "lokr" => new Content { Down = "lora_unet_attn1_to_q.lokr_w1" },
            "bias" => new Content { More = Layer + ".lora_B.bias" },
            _ => Without("lora_unet_double_blocks_0_img_attn_qkv"),
        };
        Assert.Contains(message, Refused(content), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("x", "is not valid JSON")]
    [InlineData("[]", "is a list; it must be a JSON object")]
    [InlineData("7", "is 7; it must be a JSON object")]
    [InlineData("""{"unet.lora_alpha": 1e400}""", "'unet.lora_alpha', which is 1e400; it must be a finite number")]
    [InlineData("""{"unet.lora_alpha": "8"}""", "'unet.lora_alpha'")]
    [InlineData("""{"unet.lora_alpha": NaN}""", "is not valid JSON")]
    [InlineData("""{"unet.use_rslora": "yes"}""", "'unet.use_rslora'")]
    [InlineData("""{"unet.r": 4, "unet.use_dora": true}""", "lacks its lora_magnitude_vector")]
    [InlineData("""{"unet.alpha_pattern": [1]}""", "'unet.alpha_pattern', which is a list")]
    [InlineData("""{"unet.alpha_pattern": {"to_q": true}}""", "'unet.alpha_pattern.to_q'")]
    [InlineData("""{"unet.alpha_pattern": {"(": 1}}""", "no regular expression")]
    [InlineData("""{"unet.r": 8}""", "has rank 4, where lora_adapter_metadata says 8")]
    [InlineData("""{"unet.r": 4, "unet.rank_pattern": {"to_q": 2}}""", "has rank 4, where lora_adapter_metadata says 2")]
    [InlineData("""{"unet\ud800": 4}""", "is not valid JSON")]
    public void Metadata_at_fault_is_refused_by_name(string metadata, string message)
    {
        using var scope = NewDisposeScope();
        var error = Refused(new Content { Metadata = metadata });
        Assert.Contains("lora_adapter_metadata", error, StringComparison.Ordinal);
        Assert.Contains(message, error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_merged_weight_keeps_the_precision_that_the_model_computes_in()
    {
        using var scope = NewDisposeScope();
        using var module = Module();
        module.to(ScalarType.BFloat16);
        using var folder = new TemporaryFolder();
        using var loras = new LoraAdapters([("unet", module, null)]) { ComputeType = ScalarType.Float32 };
        var weight = module.get_parameter("attn1.to_q.weight")!;
        var before = weight.to(ScalarType.Float32);
        loras.Load(new Content { UpValues = full([3, 4], 0.001f) }.Write(folder));

        // float32 holds a 250th of bfloat16's last place here.
        Assert.Equal(ScalarType.Float32, weight.dtype);
        Assert.InRange((weight - before - 0.004f).abs().max().item<float>(), 0, 1e-6f);
        loras.Remove("lora");
        Assert.Equal(ScalarType.BFloat16, weight.dtype);
    }

    [Fact]
    public void Files_of_the_reference_load_or_are_refused()
    {
        var folder = Path.GetFullPath(Path.Combine(ReferenceData.RequireRoot(), "..", "cases", "hostile", "loras"));
        Assert.SkipUnless(Directory.Exists(folder), "There are no such files.");
        using var model = StorySync.Diffusion.Sdxl.UNet2DConditionModel.Load(ModelFolder.Open(ReferenceData.PathOf("models/tiny-sdxl")));
        using var loras = new LoraAdapters([("unet", model, model.Config.LayersPerBlock[0])]);
        foreach (var path in Directory.GetFiles(folder))
        {
            Assert.StartsWith(path, Assert.Throws<ModelFileException>(() => loras.Load(path)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Mutated_files_load_or_are_refused_by_one_kind_of_exception()
    {
        using var scope = NewDisposeScope();
        using var module = Module();
        using var folder = new TemporaryFolder();
        var whole = File.ReadAllBytes(new Content { Alpha = tensor(4f) }.Write(folder));
        var withMetadata = File.ReadAllBytes(new Content { Metadata = """{"unet.r": 4, "unet.lora_alpha": 8, "unet.alpha_pattern": {"to_q": 16}}""" }.Write(folder));
        var random = new Random(9);
        var loaded = 0;
        for (var i = 0; i < 2000; i++)
        {
            byte[] bytes = [.. i % 2 == 0 ? whole : withMetadata];
            for (var changes = random.Next(1, 4); changes > 0; changes--)
            {
                // Most of it is the header, where the faults are.
                var reach = random.Next(4) == 0 ? bytes.Length : Math.Min(bytes.Length, 400);
                bytes[random.Next(reach)] = (byte)random.Next(256);
            }

            var path = folder.Write("mutated.safetensors", bytes);
            using var loras = new LoraAdapters([("unet", module, null)]);
            try
            {
                loras.Load(path);
                loras.Remove("mutated");
                loaded++;
            }
            catch (ModelFileException error)
            {
                Assert.Equal(path, error.Path);
            }
        }

        Assert.InRange(loaded, 1, 1999);
    }

    /// <summary>The factor by which a file's product of matrices was added to the weight.</summary>
    private static double Scale(Func<Content, Content> change)
    {
        using var scope = NewDisposeScope();
        using var module = Module();
        using var folder = new TemporaryFolder();
        using var loras = new LoraAdapters([("unet", module, null)]);
        var weight = module.get_parameter("attn1.to_q.weight")!;
        var before = weight.clone();
        loras.Load(change(new Content()).Write(folder));

        // The product of the two matrices of ones is 4 everywhere.
        var added = (weight - before) / 4;
        Assert.InRange((added - added[0, 0]).abs().max().item<float>(), 0, 1e-6f);
        return added[0, 0].item<float>();
    }

    private static string Refused(Content content)
    {
        using var module = Module();
        using var folder = new TemporaryFolder();
        using var loras = new LoraAdapters([("unet", module, null)]);
        var weight = module.get_parameter("attn1.to_q.weight")!;
        var before = weight.clone();
        var path = content.Write(folder);
        var error = Assert.Throws<ModelFileException>(() => loras.Load(path));

        Assert.StartsWith(path, error.Message, StringComparison.Ordinal);
        Assert.Empty(loras.Scales);
        Assert.True(before.equal(weight).all().item<bool>());
        return error.Message;
    }

    private static TorchSharp.Modules.Sequential Module()
    {
        var attention = nn.Sequential(("to_q", nn.Linear(5, 3, hasBias: false)), ("to_k", nn.Linear(5, 3, hasBias: false)));
        return nn.Sequential(("attn1", attention));
    }

    /// <summary>A LoRA of rank 4 for one layer of (3, 5), all ones.</summary>
    private sealed record Content
    {
        public string? Down { get; init; } = Layer + ".lora_A.weight";

        public string? Up { get; init; } = Layer + ".lora_B.weight";

        public Tensor DownValues { get; init; } = ones(4, 5);

        public Tensor UpValues { get; init; } = ones(3, 4);

        public Tensor? Alpha { get; init; }

        public string? More { get; init; }

        public string? Metadata { get; init; }

        public string Write(TemporaryFolder folder)
        {
            var tensors = new Dictionary<string, Tensor>();
            Add(Down, DownValues);
            Add(Up, UpValues);
            Add(Alpha is null ? null : Layer + ".alpha", Alpha);
            Add(More, DownValues);
            var path = folder.PathOf("lora.safetensors");
            SafetensorsWriter.Write(path, tensors, Metadata is null ? null
                : new Dictionary<string, string> { ["lora_adapter_metadata"] = Metadata });
            return path;

            void Add(string? name, Tensor? values)
            {
                if (name is not null)
                {
                    tensors.Add(name, values!);
                }
            }
        }
    }
}
