using System.Text.Json;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Prompts of any length and with weights. The expected numbers are those of a reference on diffusers' and transformers' modules
/// (<c>make_prompts.py</c> in <c>tests/Reference</c>).</summary>
[Collection(typeof(AloneCollection))]
public sealed class PromptSyntaxTests(StorybookModel model) : IClassFixture<StorybookModel>
{
    // float32 against float64, in units of the largest value.
    private const double Tolerance = 2e-5;

    private static readonly string Folder = Path.Combine(ReferenceData.OwnRoot, "prompts");

    /// <summary>More words than the embedded model reads as one text.</summary>
    private static readonly string Long = string.Join(", ", Enumerable.Repeat("a tree on a hill", 7));

    private static readonly string[] Mixed =
        ["a cat", $"{Long}, a bear", $"{Long}, {Long}, a fox (in the snow:1.3)", "a dog BREAK a house"];

    private static JsonElement Described { get; } = JsonDocument.Parse(File.ReadAllText(Path.Combine(Folder, "prompts.json"))).RootElement;

    public static TheoryData<string> Cases() => [.. Described.EnumerateArray().Select(c => c.GetProperty("name").GetString()!)];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Embeddings_are_those_of_the_reference(string name)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var pipeline = Tiny();
        using var golden = SafetensorsFile.Open(Path.Combine(Folder, "prompts.safetensors"));
        var request = Request(name);
        var embeddings = (SdxlEmbeddings)pipeline.Encode(request, 64, 64, guidance: true, default);

        Assert.Null(embeddings.Mask);
        foreach (var (row, prefix) in new[] { "negative_", "" }.Index())
        {
            Close(golden.Read($"{name}.{prefix}text"), embeddings.Text.narrow(0, row, 1));
            Close(golden.Read($"{name}.{prefix}pooled"), embeddings.Pooled.narrow(0, row, 1));
        }

        var encoding = pipeline.Tokenize(request, request.Prompts[0]);
        Assert.Equal(golden.Read($"{name}.ids").data<long>().ToArray()[..encoding.Ids.Length], encoding.Ids);
    }

    [Theory]
    [InlineData("break")]
    [InlineData("long-weights")]
    public void A_generation_is_that_of_diffusers_with_these_embeddings(string name)
    {
        using var scope = NewDisposeScope();
        using var pipeline = Tiny();
        using var golden = SafetensorsFile.Open(Path.Combine(Folder, "prompts.safetensors"));
        using var result = pipeline.Generate(Request(name) with
        {
            Latents = golden.Read($"{name}.noise"),
            Scheduler = "EulerDiscreteScheduler",
            Height = 64,
            Width = 64,
            GuidanceScale = 4,
            Steps = 3,
            LatentsOnly = true,
        });

        Close(golden.Read($"{name}.latents"), result.Latents);
        Assert.Empty(result.Warnings);
    }

    [Fact]
    public void A_prompt_that_fits_gives_the_same_bits_in_every_syntax()
    {
        using var plain = model.Pipeline.Generate(Quick("a bear, in the snow"));
        foreach (var syntax in new[] { PromptSyntax.Long, PromptSyntax.Weighted })
        {
            using var other = model.Pipeline.Generate(Quick("a bear, in the snow") with { PromptSyntax = syntax });
            TensorAssert.SameBits(plain.Latents, other.Latents);
        }

        using var weighted = model.Pipeline.Generate(Quick("a bear, in the (snow:1.5)") with { PromptSyntax = PromptSyntax.Weighted });
        Assert.False(plain.Latents.SameBitsAs(weighted.Latents));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Prompts_of_different_lengths_do_not_change_each_other(bool negatives)
    {
        using var scope = NewDisposeScope();
        string[] negative = [$"{Long}, dark", "dark", "rain", ""];
        Tensor Latents(params int[] chosen)
        {
            using var result = model.Pipeline.Generate(Quick([.. chosen.Select(i => Mixed[i])]) with
            {
                PromptSyntax = PromptSyntax.Weighted,
                NegativePrompts = negatives ? [.. chosen.Select(i => negative[i])] : null,
                Seeds = [.. chosen.SelectMany(i => new long[] { i, i + 10 })],
                ImagesPerPrompt = 2,
            });
            return result.Latents.clone();
        }

        var alone = Enumerable.Range(0, Mixed.Length).Select(i => Latents(i)).ToList();
        foreach (var order in new int[][] { [0, 1, 2, 3], [3, 1], [2, 0, 1] })
        {
            var batch = Latents(order);
            foreach (var (row, prompt) in order.Index())
            {
                TensorAssert.SameBits(alone[prompt], batch.narrow(0, 2 * row, 2));
            }
        }
    }

    [Theory]
    [InlineData("tall bear", "(a tall:1.2) [bear] and a (bear:0.7)", "tall bear", 1)]
    [InlineData("(the bear:1.2)", "BREAK the bear BREAK BREAK (the bear)", "the bear", 2)]
    [InlineData(@"bear \(old\)", @"a ((bear \(old\):1.3))", "bear (old)", 1)]
    public void A_phrase_is_found_through_chunks_and_weights(string phrase, string end, string words, int times)
    {
        var request = Quick() with { PromptSyntax = PromptSyntax.Weighted };
        var encoding = model.Pipeline.Tokenize(request, $"{Long}, {Long}, {end}");
        var ids = encoding.PositionsOf(model.Pipeline.WordsOf(request, phrase)).Select(at => encoding.Ids[at]).ToList();

        var expected = model.Pipeline.Tokenizer.Encode(words).Ids[1..^1];
        Assert.Equal(times * expected.Length, ids.Count);
        Assert.All(ids.Chunk(expected.Length), found => Assert.Equal(expected, found));
        Assert.Equal(0, encoding.Ids.Length % model.Pipeline.Tokenizer.ModelMaxLength);
    }

    [Fact]
    public void A_subject_in_a_later_chunk_has_its_masks_and_its_scenes_their_bits()
    {
        var story = new Story
        {
            Subjects = ["a bear"],
            Scenes = [new($"{Long}, (a bear:1.2) in the forest"), new($"{Long}, {Long} BREAK a bear at the beach"), new("a bear at home")],
        };
        var options = new StoryOptions { Request = Quick() with { Steps = 4, LatentsOnly = false }, Anchors = 2 };
        var cut = Assert.Throws<ArgumentException>(() => model.Pipeline.GenerateStory(story, options));
        Assert.Contains("is in the part of the prompt that does not fit into", cut.Message, StringComparison.Ordinal);

        options = options.With(r => (StableDiffusionXLRequest)r with { PromptSyntax = PromptSyntax.Weighted });
        using var result = model.Pipeline.GenerateStory(story, options);
        Assert.DoesNotContain(result.Warnings, warning => warning.Code == GenerationWarningCode.PromptTruncated);
        Assert.All(result.Scenes, scene => Assert.NotNull(scene.Subjects[0].Region));

        using var folder = new TemporaryFolder();
        result.Bank!.Save(folder.PathOf("bear.bank"));
        using var bank = StoryBank.Load(folder.PathOf("bear.bank"));
        Assert.Equal(PromptSyntax.Weighted, Assert.IsType<StableDiffusionXLRequest>(bank.Card.Request).PromptSyntax);
        Assert.Equal(story.Scenes.Take(2).Select(scene => scene.Prompt), bank.Card.Story.Scenes.Select(scene => scene.Prompt));
        using var alone = model.Pipeline.GenerateScenes(bank, [story.Scenes[2] with { Seed = 3 }]);
        using var together =
            model.Pipeline.GenerateScenes(bank, [new($"a bear, {Long}, {Long}, {Long}") { Seed = 8 }, story.Scenes[2] with { Seed = 3 }]);
        TensorAssert.SameBits(alone.Latents, together.Latents.narrow(0, 1, 1));
    }

    [Fact]
    public void What_a_plain_prompt_loses_is_told_of_with_what_would_keep_it()
    {
        using var plain = model.Pipeline.Generate(Quick($"{Long}, {Long} (bear:1.2)"));
        using var whole = model.Pipeline.Generate(Quick($"{Long}, {Long} (bear:1.2)") with
        {
            PromptSyntax = PromptSyntax.Weighted, LatentsOnly = false,
        });

        Assert.Contains(plain.Warnings, w => w.Code == GenerationWarningCode.PromptTruncated
            && w.Message.EndsWith("StableDiffusionXLRequest.PromptSyntax Long reads all of it.", StringComparison.Ordinal));
        Assert.Contains(plain.Warnings, w => w.Code == GenerationWarningCode.PromptWeightsAsText);
        Assert.Empty(whole.Warnings);
        Assert.Contains("Prompt syntax: Weighted", whole.Images[0].Provenance!.Parameters, StringComparison.Ordinal);
    }

    [Fact]
    public void A_plan_of_memory_counts_the_chunks()
    {
        var request = Quick($"{Long}, {Long}, {Long}");
        var (plain, whole) = (
            model.Pipeline.PlanMemory(request), model.Pipeline.PlanMemory(request with { PromptSyntax = PromptSyntax.Long }));
        var chunks = model.Pipeline.TextChunks(request with { PromptSyntax = PromptSyntax.Long }, guidance: true);

        Assert.InRange(chunks, 3, 10);
        Assert.Equal(chunks * plain.Stages[0].ActivationBytes, whole.Stages[0].ActivationBytes);
    }

    [Theory]
    [InlineData("weight that is too large for \"word\"", "(word:99999999999999999999999999999999999999999)")]
    [InlineData("more than 100 brackets", "nested")]
    public void What_makes_no_sense_is_refused(string expected, string prompt)
    {
        var request = Quick("a cat") with
        {
            NegativePrompts = [prompt == "nested" ? new string('(', 101) : prompt], PromptSyntax = PromptSyntax.Weighted,
        };
        Assert.Contains(
            expected, Assert.Throws<ArgumentException>(() => model.Pipeline.Generate(request)).Message, StringComparison.Ordinal);
        var undefined = Quick("a cat") with { PromptSyntax = (PromptSyntax)7 };
        Assert.Throws<ArgumentException>(() => model.Pipeline.Generate(undefined));
    }

    [Fact]
    public void A_generation_leaves_no_tensor() => LiveTensors.AssertNoneLeft(() =>
        model.Pipeline.Generate(Quick(Mixed) with { PromptSyntax = PromptSyntax.Weighted, NegativePrompts = ["(dark:1.3)"] }).Dispose());

    private static StableDiffusionXLRequest Quick(params string[] prompts) => new()
    {
        Prompts = prompts, Steps = 2, GuidanceScale = 4, Seed = 5, Height = 64, Width = 64, LatentsOnly = true,
    };

    private static StableDiffusionXLPipeline Tiny() => StableDiffusionXLPipeline.Load(
        Path.Combine(ReferenceData.OwnRoot, "models", "tiny-sdxl"), new PipelineOptions { Device = "cpu" });

    private static JsonElement Find(string name) =>
        Described.EnumerateArray().Single(described => described.GetProperty("name").GetString() == name);

    private static StableDiffusionXLRequest Request(string name)
    {
        var described = Find(name);
        string[]? Text(string member) =>
            described.TryGetProperty(member, out var value) && value.GetString() is { } text ? [text] : null;
        return new StableDiffusionXLRequest
        {
            PromptSyntax = Enum.Parse<PromptSyntax>(described.GetProperty("syntax").GetString()!),
            Prompts = Text("prompt")!,
            NegativePrompts = Text("negative"),
            NegativePrompts2 = null,
            Prompts2 = Text("prompt_2"),
            ClipSkip = described.TryGetProperty("clip_skip", out var skip) ? skip.GetInt32() : null,
        };
    }

    private static void Close(Tensor expected, Tensor actual) =>
        TensorAssert.Close(expected, actual, Tolerance);
}
