using StorySync.Diffusion.Tests.Weights;
using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.TextEncoders;

[Collection(typeof(AloneCollection))]
public class CLIPModelTests
{
    private const string Config = """
        {
          "projection_dim": 6,
          "text_config": {"vocab_size": 50, "hidden_size": 8, "intermediate_size": 12, "num_attention_heads": 2, "num_hidden_layers": 1, "projection_dim": 99},
          "vision_config": {"hidden_size": 9, "intermediate_size": 12, "num_attention_heads": 3, "num_hidden_layers": 2, "image_size": 8, "patch_size": 3}
        }
        """;

    private static CLIPModel Load()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var blank = new CLIPModel(ComponentConfig.Read<CLIPConfig>(folder.Write("c.json", Config)));
        var weights = RandomModel.Weights(blank);
        weights["vision_model.embeddings.position_ids"] = arange(5, dtype: ScalarType.Int64).unsqueeze(0);
        return CLIPModel.Load(RandomModel.Write(folder, System.Text.Json.Nodes.JsonNode.Parse(Config)!.AsObject(), weights));
    }

    [Fact]
    public void Embeddings_have_length_one_and_logits_are_their_scaled_cosines()
    {
        using var scope = NewDisposeScope();
        using var model = Load();
        var (ids, pixels) = (tensor(new long[] { 3, 4, 5, 6 }, [2, 2]), Seeded.Normal(3, 3, 8, 8));
        var output = model.call(ids, pixels, default);
        var scale = model.named_parameters().Single(entry => entry.name == "logit_scale").parameter.exp();

        Assert.Equal([3L, 6L], output.ImageEmbeds.shape);
        Assert.True(cat([output.ImageEmbeds, output.TextEmbeds]).norm(1, keepdim: false).allclose(ones(5), rtol: 0, atol: 1e-6));
        Assert.True(output.LogitsPerImage.allclose(
            nn.functional.cosine_similarity(model.GetImageFeatures(pixels).unsqueeze(1), model.GetTextFeatures(ids).unsqueeze(0),
                dim: -1) * scale,
            rtol: 0, atol: 1e-5));
    }

    [Fact]
    public void Pixels_of_another_shape_are_refused()
    {
        using var scope = NewDisposeScope();
        using var model = Load();

        Assert.Contains(
            "(batch, 3, 8, 8)", Assert.Throws<ArgumentException>(() => model.GetImageFeatures(Seeded.Normal(1, 3, 9, 9))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Comparing_leaves_nothing_but_the_output()
    {
        using var model = Load();
        using var ids = tensor(new long[] { 3, 4 }, [1, 2]);
        using var pixels = Seeded.Normal(1, 3, 8, 8);
        LiveTensors.AssertNoneLeft(() =>
        {
            var output = model.call(ids, pixels, default);
            output.ImageEmbeds.Dispose();
            output.TextEmbeds.Dispose();
            output.LogitsPerImage.Dispose();
        });
    }
}
