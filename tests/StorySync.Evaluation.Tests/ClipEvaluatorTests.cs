using StorySync.Diffusion.Weights;
using StorySync.Pipelines;
using StorySync.TestSupport;

namespace StorySync.Evaluation.Tests;

public class ClipEvaluatorTests
{
    private static readonly RgbImage Image = new(8, 8, new byte[8 * 8 * 3]);

    public static TheoryData<string, Action<ClipEvaluator>> Members() => new()
    {
        { "EmbedImages", clip => clip.EmbedImages([Image]) },
        { "EmbedTexts", clip => clip.EmbedTexts(["a cat"]) },
        { "EmbedPatches", clip => clip.EmbedPatches([Image]) },
    };

    [Theory]
    [MemberData(nameof(Members), DisableDiscoveryEnumeration = true)]
    public async Task Disposed_of_while_another_thread_uses_it_it_ends_between_two_calls(string member, Action<ClipEvaluator> use)
    {
        for (var i = 0; i < 3; i++)
        {
            var clip = ClipEvaluator.Load();
            var used = new TaskCompletionSource();
            var uses = Task.Run(() =>
            {
                while (true)
                {
                    use(clip);
                    used.TrySetResult();
                }
            });
            await (await Task.WhenAny(used.Task, uses));
            clip.Dispose();

            await Assert.ThrowsAsync<ObjectDisposedException>(() => uses);
            var error = Assert.Throws<ObjectDisposedException>(() => use(clip));
            Assert.True(error.ObjectName == typeof(ClipEvaluator).FullName, $"{member}: {error.ObjectName}");
        }
    }

    /// <summary>File, what is written in place of what, and what the message says.</summary>
    public static TheoryData<string, string?, string, string> Faults() => new()
    {
        { "preprocessor_config.json", null, """{"crop_size": 48}""", "images become 48 × 48" },
        { "preprocessor_config.json", null, """{"do_center_crop": false}""", "images keep their proportions" },
        { "preprocessor_config.json", null, """{"do_center_crop": false, "size": {"height": 8, "width": 9}}""", "images become 9 × 8" },
        { "preprocessor_config.json", null, """{"crop_size": 0}""", "crop_size" },
        { "preprocessor_config.json", null, """{"size": {}}""", "'size' is not a size" },
        { "preprocessor_config.json", null, """{"size": {"height": 7}}""", "'size' is not a size" },
        { "preprocessor_config.json", null, """{"size": [1, 2]}""", "size" },
        { "preprocessor_config.json", null, """{"image_mean": [0.5]}""", "have 1 and 3 entries" },
        { "preprocessor_config.json", null, """{"image_std": [0, 1, 1]}""", "'image_std' is 0" },
        { "preprocessor_config.json", null, """{"image_mean": [NaN, 0, 0]}""", "image_mean" },
        { "preprocessor_config.json", null, """{"rescale_factor": -1}""", "'rescale_factor' is -1" },
        { "preprocessor_config.json", null, """{"resample": 2}""", "'resample' is 2" },
        { "preprocessor_config.json", null, "[]", "JSON object" },
        { "config.json", "\"vocab_size\": 812", "\"vocab_size\": 7", "" },
        { "config.json", "\"num_channels\": 3", "\"num_channels\": 4", "" },
        { "config.json", "\"max_position_embeddings\": 32", "\"max_position_embeddings\": 1", "" },
        { "config.json", "\"num_attention_heads\": ", "\"num_attention_heads\": 7", "" },
        { "config.json", "\"patch_size\": ", "\"patch_size\": 9", "" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void A_model_whose_parts_do_not_fit_is_refused_by_file(string file, string? before, string after, string what)
    {
        using var folder = new TemporaryFolder();
        var embedded = ModelFolder.Open("storybook");
        var config = File.ReadAllText(embedded.FilePath("clip", "config.json"));
        folder.Write("config.json", config);
        File.CreateSymbolicLink(folder.PathOf("model.safetensors"), embedded.FilePath("clip", "model.safetensors"));
        Directory.CreateSymbolicLink(folder.PathOf("tokenizer"), embedded.ComponentPath("tokenizer_2"));
        ClipEvaluator.Load(folder.Path).Dispose();
        if (before is not null)
        {
            Assert.Contains(before, config, StringComparison.Ordinal);
            after = config.Replace(before, after, StringComparison.Ordinal);
        }

        folder.Write(file, after);
        var error = Assert.ThrowsAny<ModelFileException>(() => ClipEvaluator.Load(folder.Path));
        Assert.StartsWith(folder.Path, error.Message, StringComparison.Ordinal);
        Assert.Contains(what, error.Message, StringComparison.Ordinal);
    }
}
