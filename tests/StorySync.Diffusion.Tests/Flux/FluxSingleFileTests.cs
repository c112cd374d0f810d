using StorySync.Diffusion.Flux;
using StorySync.Diffusion.Tests.TextEncoders;
using StorySync.Diffusion.Tests.Weights;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Flux;

public sealed class FluxSingleFileTests
{
    [Theory]
    [InlineData("")]
    [InlineData("model.diffusion_model.")]
    public void A_checkpoint_in_the_original_layout_gives_the_same_weights(string prefix)
    {
        foreach (var reference in FluxModels.OneCaseOfEachModel)
        {
            using var folder = new TemporaryFolder();
            using var scope = NewDisposeScope();
            using var usual = FluxModels.OpenWeights(reference.ModelPath);
            var original = ToOriginal(usual, prefix);
            if (prefix.Length > 0)
            {
                original.Add("first_stage_model.decoder.conv_in.bias", zeros(4));
            }

            var path = folder.PathOf("flux1.safetensors");
            SafetensorsWriter.Write(path, original);

            // In the type of the smaller files, which is not converted: converted weights come when they are needed.
            using var expected = FluxModels.Load(reference.ModelPath, ScalarType.Float16);
            using var actual = new FluxTransformer2DModel(expected.Config);
            using (var file = new FluxSingleFile(SafetensorsFile.Open(path)))
            {
                WeightBinder.Bind(actual, file, ScalarType.Float16);
            }

            AssertSameWeights(expected, actual);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_single_file_tells_the_sizes_of_its_model(bool guidance)
    {
        var config = new FluxTransformer2DConfig
        {
            InChannels = 8,
            OutChannels = 12,
            NumLayers = 2,
            NumSingleLayers = 1,
            NumAttentionHeads = 2,
            JointAttentionDim = 6,
            PooledProjectionDim = 5,
            GuidanceEmbeds = guidance,
        };
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var model = new FluxTransformer2DModel(config);
        SafetensorsWriter.Write(folder.PathOf("model.safetensors"), RandomModel.Weights(model));
        using var usual = SafetensorsFile.Open(folder.PathOf("model.safetensors"));
        WeightBinder.Bind(model, usual);
        var path = folder.PathOf("flux1.safetensors");
        SafetensorsWriter.Write(path, ToOriginal(usual, ""));

        using var loaded = FluxTransformer2DModel.LoadSingleFile(path);
        Assert.Equal(config, loaded.Config with { AxesDimsRope = config.AxesDimsRope });
        AssertSameWeights(model, loaded);
    }

    [Fact]
    public void A_file_of_another_layout_is_refused()
    {
        using var folder = new TemporaryFolder();
        var path = folder.PathOf("model.safetensors");
        using var bias = zeros(3);
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor> { ["encoder.bias"] = bias });
        var error = Assert.Throws<ModelFileException>(() => FluxTransformer2DModel.LoadSingleFile(path));
        Assert.Contains("double_blocks.0.img_attn.qkv.weight", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Parts_of_a_fused_tensor_are_views_of_the_file()
    {
        using var folder = new TemporaryFolder();
        var path = folder.PathOf("flux1.safetensors");
        using var fused = arange(21 * 2, float32).view(21, 2);
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor> { ["single_blocks.0.linear1.weight"] = fused });
        using var file = SafetensorsFile.Open(path);
        using var source = new FluxSingleFile(file);
        using var key = source.Read("single_transformer_blocks.0.attn.to_k.weight");
        using var mlp = source.Read("single_transformer_blocks.0.proj_mlp.weight");
        Assert.Equal([3L, 2], key.shape);
        Assert.Equal([12L, 2], mlp.shape);
        Assert.True(key.is_contiguous());
        Assert.Equal(6f, key[0, 0].item<float>());
        Assert.Equal(18f, mlp[0, 0].item<float>());

        // Both lie in one stretch of memory, mlp two parts of three rows after key.
        Assert.Equal(key.storage_offset() + (2 * 3 * 2), mlp.storage_offset());
    }

    private static void AssertSameWeights(FluxTransformer2DModel expected, FluxTransformer2DModel actual)
    {
        foreach (var ((name, wanted), (_, found)) in expected.named_parameters().Zip(actual.named_parameters()))
        {
            Assert.True(wanted.bytes.SequenceEqual(found.bytes), name);
        }
    }

    private static Dictionary<string, Tensor> ToOriginal(ITensorSource usual, string prefix)
    {
        var result = new Dictionary<string, Tensor>();
        void Join(string original, params string[] parts)
        {
            foreach (var parameter in new[] { "weight", "bias" })
            {
                result.Add($"{prefix}{original}.{parameter}", cat([.. parts.Select(p => usual.Read($"{p}.{parameter}"))], 0));
            }
        }

        void Embedder(string original, string part)
        {
            Join($"{original}.in_layer", $"{part}.linear_1");
            Join($"{original}.out_layer", $"{part}.linear_2");
        }

        void Norms(string original, string query, string key)
        {
            result.Add($"{prefix}{original}.query_norm.scale", usual.Read($"{query}.weight"));
            result.Add($"{prefix}{original}.key_norm.scale", usual.Read($"{key}.weight"));
        }

        bool Has(string module) => usual.Tensors.ContainsKey($"{module}.weight");

        Join("img_in", "x_embedder");
        Join("txt_in", "context_embedder");
        Embedder("time_in", "time_text_embed.timestep_embedder");
        Embedder("vector_in", "time_text_embed.text_embedder");
        if (Has("time_text_embed.guidance_embedder.linear_1"))
        {
            Embedder("guidance_in", "time_text_embed.guidance_embedder");
        }

        for (var i = 0; Has($"transformer_blocks.{i}.norm1.linear"); i++)
        {
            var (from, to) = ($"transformer_blocks.{i}", $"double_blocks.{i}");
            Join($"{to}.img_mod.lin", $"{from}.norm1.linear");
            Join($"{to}.txt_mod.lin", $"{from}.norm1_context.linear");
            Join($"{to}.img_attn.qkv", $"{from}.attn.to_q", $"{from}.attn.to_k", $"{from}.attn.to_v");
            Join($"{to}.txt_attn.qkv", $"{from}.attn.add_q_proj", $"{from}.attn.add_k_proj", $"{from}.attn.add_v_proj");
            Norms($"{to}.img_attn.norm", $"{from}.attn.norm_q", $"{from}.attn.norm_k");
            Norms($"{to}.txt_attn.norm", $"{from}.attn.norm_added_q", $"{from}.attn.norm_added_k");
            Join($"{to}.img_attn.proj", $"{from}.attn.to_out.0");
            Join($"{to}.txt_attn.proj", $"{from}.attn.to_add_out");
            Join($"{to}.img_mlp.0", $"{from}.ff.net.0.proj");
            Join($"{to}.img_mlp.2", $"{from}.ff.net.2");
            Join($"{to}.txt_mlp.0", $"{from}.ff_context.net.0.proj");
            Join($"{to}.txt_mlp.2", $"{from}.ff_context.net.2");
        }

        for (var i = 0; Has($"single_transformer_blocks.{i}.norm.linear"); i++)
        {
            var (from, to) = ($"single_transformer_blocks.{i}", $"single_blocks.{i}");
            Join($"{to}.modulation.lin", $"{from}.norm.linear");
            Join($"{to}.linear1", $"{from}.attn.to_q", $"{from}.attn.to_k", $"{from}.attn.to_v", $"{from}.proj_mlp");
            Join($"{to}.linear2", $"{from}.proj_out");
            Norms($"{to}.norm", $"{from}.attn.norm_q", $"{from}.attn.norm_k");
        }

        Join("final_layer.linear", "proj_out");
        foreach (var parameter in new[] { "weight", "bias" })
        {
            var halves = usual.Read($"norm_out.linear.{parameter}").chunk(2, 0);
            result.Add($"{prefix}final_layer.adaLN_modulation.1.{parameter}", cat([halves[1], halves[0]], 0));
        }

        return result;
    }
}
