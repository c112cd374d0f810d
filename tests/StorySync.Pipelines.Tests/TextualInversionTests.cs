using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Textual inversions on SDXL; the expected numbers are diffusers' (<c>make_inversions.py</c> in
/// <c>tests/Reference</c>).</summary>
[Collection(typeof(AloneCollection))]
public sealed class TextualInversionTests
{
    private const string Token = "<fox-toy>";
    private const string Prompt = "a photo of a <fox-toy> in the snow, <fox-toy>";

    private static string File { get; } = PathOf("inversion.safetensors");

    [Fact]
    public void Ids_and_embeddings_are_those_of_diffusers()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var pipeline = Load();
        using var golden = SafetensorsFile.Open(PathOf("inversion-values.safetensors"));
        Assert.Equal(Token, pipeline.LoadTextualInversion(File, Token));
        Assert.Equal(3, pipeline.TextualInversions[Token]);

        var embeddings = (SdxlEmbeddings)pipeline.Encode(new() { Prompts = [Prompt] }, 64, 64, guidance: false, default);
        TensorAssert.SameBits(golden.Read("ids"), pipeline.Tokenizer.Ids([Prompt], 1, CPU));
        TensorAssert.SameBits(golden.Read("ids_2"), pipeline.Tokenizer2.Ids([Prompt], 1, CPU));
        TensorAssert.Close(cat([golden.Read("hidden"), golden.Read("hidden_2")], dim: -1), embeddings.Text, 2e-5);
        TensorAssert.Close(golden.Read("pooled_2"), embeddings.Pooled, 2e-5);
    }

    [Fact]
    public void A_word_that_was_unloaded_is_text_again_and_two_words_do_not_change_each_other()
    {
        using var pipeline = Load();
        using var before = pipeline.Generate(Quick(Prompt));
        pipeline.LoadTextualInversion(File, Token);
        using var with = pipeline.Generate(Quick(Prompt));
        using var other = Copy(value => value * -1);
        pipeline.LoadTextualInversion(other.PathOf("second.safetensors"));
        using var both = pipeline.Generate(Quick(Prompt));
        using var second = pipeline.Generate(Quick("a photo of a second in the snow, second"));
        pipeline.UnloadTextualInversion(Token);
        using var moved = pipeline.Generate(Quick("a photo of a second in the snow, second"));
        pipeline.UnloadTextualInversion("second");
        using var after = pipeline.Generate(Quick(Prompt));

        TensorAssert.SameBits(before.Latents, after.Latents);
        TensorAssert.SameBits(with.Latents, both.Latents);
        TensorAssert.SameBits(second.Latents, moved.Latents);
        Assert.False(before.Latents.SameBitsAs(with.Latents));
        Assert.False(with.Latents.SameBitsAs(second.Latents));
        Assert.Empty(pipeline.TextualInversions);
    }

    [Fact]
    public void A_subject_may_be_called_by_the_word_and_a_bank_knows_the_vectors()
    {
        using var pipeline = Load();
        pipeline.LoadTextualInversion(File, Token);
        var encoding = pipeline.Tokenizer.EncodePadded(Prompt);
        Assert.Equal(
            Enumerable.Range(0, encoding.Ids.Length).Where(at => encoding.Ids[at] >= pipeline.TextEncoder.Config.VocabSize),
            encoding.PositionsOf("<FOX-toy>"));
        var story = new Story
        {
            Subjects = [$"a {Token}"], Scenes = [new($"a {Token} in the forest"), new($"a {Token} at the beach")],
        };
        using var bank = pipeline.CreateBank(story, new() { Request = Quick() with { LatentsOnly = false } });
        using var scenes = pipeline.GenerateScenes(bank, [new($"a {Token} at home")]);
        Assert.NotNull(scenes.Scenes[0].Subjects[0].Region);

        pipeline.UnloadTextualInversion(Token);
        var gone = Assert.Throws<ArgumentException>(() => pipeline.GenerateScenes(bank, [new($"a {Token} at home")]));
        Assert.Contains($"{Token.Trim('<', '>')}", gone.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Other_files_and_words_are_refused()
    {
        using var pipeline = Load();
        using var folder = new TemporaryFolder();
        string Written(params (string Name, long[] Shape)[] tensors)
        {
            using var scope = NewDisposeScope();
            var path = folder.PathOf("other.safetensors");
            SafetensorsWriter.Write(path, tensors.ToDictionary(tensor => tensor.Name, tensor => zeros(tensor.Shape)));
            return path;
        }

        void Refused(string expected, string path)
        {
            var error = Assert.Throws<ModelFileException>(() => pipeline.LoadTextualInversion(path, Token));
            Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        }


        var (width, width2) = (pipeline.TextEncoder.Config.HiddenSize, pipeline.TextEncoder2.Config.HiddenSize);
        Refused("one text encoder", Written(("emb_params", [2, width])));
        Refused("it was made for another model", Written(("clip_l", [2, width + 1]), ("clip_g", [2, width2])));
        Refused("2 vectors for one text encoder and 3 for the other", Written(("clip_l", [2, width]), ("clip_g", [3, width2])));
        Refused("has at most 75 tokens", Written(("clip_l", [76, width]), ("clip_g", [76, width2])));
        Refused("no textual inversion for SDXL", Written(("a", [2]), ("b", [2]), ("c", [2])));
        Refused("PyTorch pickle", folder.Write("old.pt", [0x80, 2, 0, 0, 0, 0, 0, 0, 0, 0]));
        Assert.Throws<ArgumentException>(() => pipeline.LoadTextualInversion(File, "fox"));
        Assert.Throws<KeyNotFoundException>(() => pipeline.UnloadTextualInversion(Token));
        pipeline.LoadTextualInversion(File, Token);
        Assert.Throws<ArgumentException>(() => pipeline.LoadTextualInversion(File, Token));
        var lora = Assert.Throws<ModelFileException>(() => pipeline.Loras.Load(File));
        Assert.Contains("LoadTextualInversion", lora.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_is_left_of_it() => LiveTensors.AssertNoneLeft(() =>
    {
        using var pipeline = Load();
        pipeline.LoadTextualInversion(File, Token);
        pipeline.LoadTextualInversion(File, "<other>");
        pipeline.UnloadTextualInversion(Token);
        pipeline.Generate(Quick("a <other>")).Dispose();
    });

    private static StableDiffusionXLRequest Quick(params string[] prompts) => new()
    {
        Prompts = prompts, Steps = 2, GuidanceScale = 4, Seed = 5, Height = 64, Width = 64, LatentsOnly = true,
    };

    private static StableDiffusionXLPipeline Load() => StableDiffusionXLPipeline.Load(
        Path.Combine(ReferenceData.OwnRoot, "models", "tiny-sdxl"), new PipelineOptions { Device = "cpu" });

    private static string PathOf(string name) => Path.Combine(ReferenceData.OwnRoot, "prompts", name);

    private static TemporaryFolder Copy(Func<Tensor, Tensor> change)
    {
        var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(File);
        SafetensorsWriter.Write(
            folder.PathOf("second.safetensors"), file.Tensors.Keys.ToDictionary(name => name, name => change(file.Read(name))));
        return folder;
    }
}
