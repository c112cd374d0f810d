using System.Security.Cryptography;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Weights;

public class ModelFolderTests
{
    private const string Commit = "0123456789abcdef0123456789abcdef01234567";

    private static void Write(TemporaryFolder folder, string name, params (string Name, float Value)[] tensors)
    {
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(folder.PathOf(name), tensors.ToDictionary(t => t.Name, t => full([2], t.Value, ScalarType.Float32)));
    }

    internal static float Value(ModelFolder model, string? variant = null, string tensor = "x")
    {
        using var scope = NewDisposeScope();
        using var source = model.OpenWeights("unet", variant);
        return source.Read(tensor)[0].item<float>();
    }

    [Fact]
    public void The_index_names_the_components()
    {
        var model = ModelFolder.Open(ReferenceData.PathOf("models/tiny-sdxl"));
        Assert.Equal("StableDiffusionXLPipeline", model.ClassName);
        Assert.Equal(new ModelComponent("transformers", "CLIPTextModelWithProjection"), model.Components["text_encoder_2"]);
        Assert.True(model.Has("unet"));
        Assert.False(model.Has("image_encoder"));
        Assert.Equal(7, model.Components.Count);
        Assert.EndsWith("vocab.json", model.FilePath("tokenizer", "vocab.json"), StringComparison.Ordinal);
        Assert.Contains("no such file", Assert.Throws<ModelFileException>(() => model.FilePath("tokenizer", "none.json")).Message,
            StringComparison.Ordinal);
        Assert.Contains("tokenizer_2, unet", Assert.Throws<ModelFileException>(() => model.ComponentPath("prior")).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void The_preferred_variant_is_taken_and_else_what_there_is()
    {
        using var folder = new TemporaryFolder();
        Write(folder, "unet/diffusion_pytorch_model.fp16.safetensors", ("x", 16));
        var model = ModelFolder.Open(folder.Path);
        Assert.Equal(16, Value(model));
        Write(folder, "unet/diffusion_pytorch_model.safetensors", ("x", 32));
        Assert.Equal(32, Value(model));
        Assert.Equal(16, Value(model, "fp16"));
        Assert.Equal(32, Value(model, "bf16"));
    }

    [Theory]
    [InlineData("diffusion_pytorch_model", null)]
    [InlineData("model", null)]
    [InlineData("model", "fp16")]
    public void Shards_are_read_as_one(string stem, string? variant)
    {
        using var folder = new TemporaryFolder();
        var dotted = variant is null ? "" : "." + variant;
        Write(folder, $"unet/{stem}{dotted}-00001-of-00002.safetensors", ("x", 1), ("z", 3));
        Write(folder, $"unet/{stem}{dotted}-00002-of-00002.safetensors", ("y", 2));
        folder.Write($"unet/{stem}.safetensors.index{dotted}.json", $$"""
            {"metadata": {"total_size": 16}, "weight_map": {"x": "{{stem}}{{dotted}}-00001-of-00002.safetensors", "y": "{{stem}}{{dotted}}-00002-of-00002.safetensors"} }
            """);
        var model = ModelFolder.Open(folder.Path);
        Assert.Equal(1, Value(model));
        Assert.Equal(2, Value(model, tensor: "y"));
        using var source = model.OpenWeights("unet");
        Assert.Equal(["x", "y", "z"], source.Tensors.Keys.Order());
        Assert.Throws<KeyNotFoundException>(() => source.Read("w"));
    }

    /// <summary>diffusers reads the shards, transformers the single file.</summary>
    [Theory]
    [InlineData("diffusion_pytorch_model", 2)]
    [InlineData("model", 1)]
    public void Where_there_are_shards_and_a_single_file_each_library_has_its_own_rule(string stem, float expected)
    {
        using var folder = new TemporaryFolder();
        Write(folder, $"unet/{stem}.safetensors", ("x", 1));
        Write(folder, $"unet/{stem}-00001-of-00001.safetensors", ("x", 2));
        folder.Write($"unet/{stem}.safetensors.index.json", $$"""{"weight_map": {"x": "{{stem}}-00001-of-00001.safetensors"} }""");
        Assert.Equal(expected, Value(ModelFolder.Open(folder.Path)));
    }

    [Theory]
    [InlineData("diffusion_pytorch_model.fp16.safetensors", "bf16",
        "no weights of the variant 'bf16' and no plain ones; it has the variants fp16")]
    [InlineData("diffusion_pytorch_model-00001-of-00002.safetensors", null, "shards of a checkpoint")]
    [InlineData("flux-Q4.gguf", null, "it has flux-Q4.gguf")]
    [InlineData("unet.safetensors", null, "it has unet.safetensors")]
    [InlineData("model.bin", null, "a PyTorch pickle")]
    [InlineData("model.ckpt", null, "a PyTorch pickle")]
    [InlineData("model.pt", null, "a PyTorch pickle")]
    [InlineData("model.pth", null, "a PyTorch pickle")]
    [InlineData("model.msgpack", null, "it has model.msgpack")]
    [InlineData("model.onnx", null, "it has model.onnx")]
    [InlineData("model-of-clay.txt", null, "it has no file of weights")]
    public void Weights_that_cannot_be_taken_are_said_to_be_there(string file, string? variant, string message)
    {
        using var folder = new TemporaryFolder();
        folder.Write($"unet/{file}", "x");
        var error = Assert.Throws<ModelFileException>(() => ModelFolder.Open(folder.Path).OpenWeights("unet", variant));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"weight_map": {"x": "../other.safetensors"} }""", "next to the index")]
    [InlineData("""{"weight_map": {"x": "/etc/other.safetensors"} }""", "next to the index")]
    [InlineData("""{"weight_map": {"x": "..\\other.safetensors"} }""", "next to the index")]
    [InlineData("""{"weight_map": {"x": ".."} }""", "next to the index")]
    [InlineData("""{"weight_map": {"x": ""} }""", "next to the index")]
    [InlineData("""{"weight_map": {"x": 1} }""", "must be a file name")]
    [InlineData("""{"weight_map": {"q": "a.safetensors"} }""", "'q' is in a.safetensors, which does not hold it")]
    [InlineData("""{"weight_map": {"x": "b.safetensors"} }""", "b.safetensors: there is no such file")]
    [InlineData("""{"weight_map": [] }""", "no object 'weight_map'")]
    [InlineData("""{}""", "no object 'weight_map'")]
    [InlineData("""{"weight_map": {"\ud800": "a.safetensors"} }""", "no valid JSON")]
    public void A_wrong_index_is_explained(string index, string message)
    {
        using var folder = new TemporaryFolder();
        Write(folder, "other.safetensors", ("x", 1));
        Write(folder, "unet/a.safetensors", ("x", 1));
        folder.Write("unet/model.safetensors.index.json", index);
        var exception = Assert.Throws<ModelFileException>(() => ModelFolder.Open(folder.Path).OpenWeights("unet"));
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{ "_class_name": ["diffusers_modules", "Own"] }""", "brings Python code of its own")]
    [InlineData("""{ "_class_name": 7 }""", "'_class_name' is 7; it must be the name of a class")]
    public void A_class_is_a_name(string index, string message)
    {
        using var folder = new TemporaryFolder();
        folder.Write("model_index.json", index);
        Assert.Contains(message, Assert.Throws<ModelFileException>(() => ModelFolder.Open(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_component_is_a_pair_of_names_or_a_folder()
    {
        using var folder = new TemporaryFolder();
        folder.Write("model_index.json", """
            { "a": ["lib", "A"], "b": [null, "B"], "c": ["lib", null], "d": ["lib"], "e": ["x", "y", "z"], "f": true, "g": [null, null] }
            """);
        folder.Write("extra/file", "");
        var model = ModelFolder.Open(folder.Path);
        Assert.Equal(["a"], model.Components.Keys);
        Assert.True(model.Has("a") && model.Has("extra"));
        Assert.False(model.Has("b") || model.Has("c") || model.Has("d") || model.Has("e") || model.Has("f") || model.Has("g"));
    }

    [Fact]
    public void Variants_are_told_once_and_in_order()
    {
        using var folder = new TemporaryFolder();
        foreach (var name in (string[])["model.fp16", "model.bf16", "diffusion_pytorch_model.fp16"])
        {
            folder.Write($"unet/{name}.safetensors", "x");
        }

        var error = Assert.Throws<ModelFileException>(() => ModelFolder.Open(folder.Path).OpenWeights("unet", "q8"));
        Assert.EndsWith("it has the variants bf16, fp16", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_without_weights_says_what_it_lacks()
    {
        using var folder = new TemporaryFolder();
        folder.Write("unet/config.json", "{}");
        var model = ModelFolder.Open(folder.Path);
        Assert.Contains("diffusion_pytorch_model.safetensors", Assert.Throws<ModelFileException>(() => model.OpenWeights("unet")).Message,
            StringComparison.Ordinal);
        folder.Write("unet/diffusion_pytorch_model.bin", "");
        var error = Assert.Throws<ModelFileException>(() => model.OpenWeights("unet"));
        Assert.Contains("safetensors version", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Models_are_found_in_the_cache_by_branch_and_commit()
    {
        using var cache = Cache();
        var hub = new HubCache(cache.Path);
        var snapshot = Path.Combine(cache.Path, "models--org--my.model", "snapshots", Commit);
        Assert.Equal(snapshot, hub.Resolve("org/my.model"));
        Assert.Equal(snapshot, hub.Resolve("org/my.model@main"));
        Assert.Equal(snapshot, hub.Resolve("org/my.model@refs/pr/1"));
        Assert.Equal(snapshot, hub.Resolve($"org/my.model@{Commit}"));
    }

    [Theory]
    [InlineData("org/other", "no such model in the Hugging Face cache")]
    [InlineData("org/my.model@v2", "no revision 'v2' of this model; it has bad, main, refs/pr/1")]
    [InlineData("org/my.model@ffff", "not its revision 'ffff'")]
    [InlineData("org/my.model@bad", "no revision 'bad'")]
    [InlineData("org/my.model@../../x", "no such folder")]
    [InlineData("../my.model", "no such folder")]
    [InlineData("./some/folder", "no such folder")]
    [InlineData("org/my.model\n", "no such folder")]
    public void What_is_not_in_the_cache_is_explained(string name, string message)
    {
        using var cache = Cache();
        cache.Write("models--org--my.model/refs/bad", "../../../elsewhere");
        var exception = Assert.Throws<ModelFileException>(() => new HubCache(cache.Path).Resolve(name));
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_cache_is_where_the_environment_says()
    {
        var home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        Assert.Equal(Path.Combine(home, ".cache", "huggingface", "hub"), Root([]));
        Assert.Equal(Path.Combine("/c", "huggingface", "hub"), Root(new() { ["XDG_CACHE_HOME"] = "/c" }));
        Assert.Equal(Path.Combine("/h", "hub"), Root(new() { ["HF_HOME"] = "/h", ["XDG_CACHE_HOME"] = "/c" }));
        Assert.Equal("/hub", Root(new() { ["HF_HUB_CACHE"] = "/hub", ["HF_HOME"] = "/h" }));
        Assert.Equal(Path.Combine(home, "hub"), Root(new() { ["HF_HUB_CACHE"] = "~/hub" }));

        static string Root(Dictionary<string, string> environment) => HubCache.RootOf(environment.GetValueOrDefault);
    }

    [Fact]
    public void A_single_file_that_is_no_model_is_refused()
    {
        using var folder = new TemporaryFolder();
        var exception = Assert.Throws<ModelFileException>(() => ModelFolder.Open(folder.Write("sd_xl_base_1.0.safetensors", "")));
        Assert.Contains("an empty file", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Known_models_lie_beside_the_application()
    {
        var folder = Path.Combine(AppContext.BaseDirectory, "models", "storybook");
        Assert.True(Directory.Exists(folder), "Every program of the repository has the model.");
        Assert.Equal(folder, ModelFolder.Open("Storybook").Path);
    }

    /// <summary>A cache with one model, as huggingface_hub lays it out.</summary>
    internal static TemporaryFolder Cache()
    {
        var cache = new TemporaryFolder();
        cache.Write("models--org--my.model/refs/main", Commit);
        cache.Write("models--org--my.model/refs/refs/pr/1", Commit + "\n");
        Write(cache, $"models--org--my.model/snapshots/{Commit}/unet/diffusion_pytorch_model.safetensors", ("x", 5));
        return cache;
    }
}

/// <summary>What sets a variable of the process runs while nothing else does.</summary>
[Collection(typeof(AloneCollection))]
public class CacheVariableTests
{
    [Fact]
    public void A_model_opens_by_its_name_in_the_cache()
    {
        using var cache = ModelFolderTests.Cache();
        var before = Environment.GetEnvironmentVariable("HF_HUB_CACHE");
        Environment.SetEnvironmentVariable("HF_HUB_CACHE", cache.Path);
        try
        {
            Assert.Equal(5, ModelFolderTests.Value(ModelFolder.Open("org/my.model")));
        }
        finally
        {
            Environment.SetEnvironmentVariable("HF_HUB_CACHE", before);
        }
    }
}

public class VerifyTests
{
    [Fact]
    public async Task Files_are_checked_against_the_names_of_their_blobs()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "links need rights on Windows");
        using var cache = new TemporaryFolder();
        var good = Convert.ToHexStringLower(SHA256.HashData("good"u8));
        var bad = Convert.ToHexStringLower(SHA256.HashData("what it was"u8));
        cache.Write($"blobs/{good}", "good");
        cache.Write($"blobs/{bad}", "what it is");
        cache.Write("blobs/0123456789abcdef0123456789abcdef01234567", "small");
        foreach (var (name, blob) in (IEnumerable<(string, string)>)
            [("good", good), ("bad", bad), ("gone", new string('0', 64)), ("small", "0123456789abcdef0123456789abcdef01234567")])
        {
            File.CreateSymbolicLink(cache.PathOf($"snapshots/c/unet/{name}"), Path.Combine("..", "..", "..", "blobs", blob));
        }

        cache.Write("snapshots/c/config.json", "{}");
        var reported = new List<FileCheck>();
        var checks = await ModelFolder.Open(Path.Combine(cache.Path, "snapshots", "c")).VerifyAsync(
            new Listener(reported),
            cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(
            [("config.json", FileState.Unknown), ("bad", FileState.Damaged), ("gone", FileState.Missing), ("good", FileState.Intact),
                ("small", FileState.Unknown)],
            checks.Select(check => (Path.GetFileName(check.Path), check.State)));
        Assert.Equal(checks, reported);
    }

    private sealed class Listener(List<FileCheck> heard) : IProgress<FileCheck>
    {
        public void Report(FileCheck value) => heard.Add(value);
    }
}
