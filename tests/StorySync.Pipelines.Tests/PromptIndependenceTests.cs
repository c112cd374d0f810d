using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>An image depends on its own prompts and seed, not on what it is generated with, to the last bit.</summary>
public sealed class PromptIndependenceTests(LoadedModels models) : IClassFixture<LoadedModels>
{
    private const int Side = 64;

    // Of the largest latent: what other numbers of padding may change.
    private const double LastBits = 1e-4;

    private static readonly string[] Prompts =
    [
        "a fox",
        "a red fox walks through the snowy forest at dawn, watercolor painting, soft light, fine detail",
        "the old lighthouse keeper tells a story",
    ];

    private static readonly string[] Negatives =
        ["blurry, low quality, extra fingers, a long list of things that nobody wants to see", "a cat", "dark"];

    private static readonly long[] Seeds = [11, 4, 7];

    public static TheoryData<string, bool> Models() =>
        [.. new[] { "storybook", "tiny-sdxl", "tiny-kandinsky3", "tiny-flux" }
            .SelectMany(model => new[] { (model, false), (model, true) })];

    [Theory]
    [MemberData(nameof(Models))]
    public void A_batch_in_any_order_gives_what_each_prompt_gives_alone(string model, bool negatives)
    {
        var pipeline = models.Get(model);
        using var scope = NewDisposeScope();
        var alone = Enumerable.Range(0, Prompts.Length).Select(i => Latents(pipeline, negatives, i)).ToList();
        Assert.False(alone[0].SameBitsAs(alone[1]));

        foreach (var order in new int[][] { [0, 1, 2], [2, 1, 0], [1, 2], [0, 2] })
        {
            var batch = Latents(pipeline, negatives, order);
            var images = batch.shape[0] / order.Length;
            for (var row = 0; row < order.Length; row++)
            {
                TensorAssert.SameBits(alone[order[row]], batch.narrow(0, row * images, images));
            }
        }
    }

    [Fact]
    public void Prompts_of_Kandinsky_3_can_be_cut_to_the_longest_as_diffusers_does()
    {
        var pipeline = models.Get("tiny-kandinsky3");
        using var scope = NewDisposeScope();
        var request = new Kandinsky3Request
        {
            Prompts = Prompts, Seeds = Seeds, Steps = 2, Height = Side, Width = Side, LatentsOnly = true,
        };
        using var own = pipeline.Generate(request);
        using var cut = pipeline.Generate(request with { CutsToLongestPrompt = true });

        // The longest prompt is as long either way.
        TensorAssert.Close(own.Latents.narrow(0, 1, 1), cut.Latents.narrow(0, 1, 1), LastBits);
        Assert.False(own.Latents.narrow(0, 0, 1).allclose(cut.Latents.narrow(0, 0, 1), 1e-2, 1e-2));
    }

    private static Tensor Latents(DiffusionPipeline pipeline, bool negatives, params int[] prompts)
    {
        string[]? negative = negatives ? [.. prompts.Select(i => Negatives[i])] : null;
        GenerationRequest request = pipeline is FluxPipeline
            ? new FluxRequest { Prompts = [.. prompts.Select(i => Prompts[i])], TrueCfgScale = 3, MaxSequenceLength = 64 }
            : new GenerationRequest { Prompts = [.. prompts.Select(i => Prompts[i])], GuidanceScale = 4 };
        using var result = pipeline.Generate(request with
        {
            NegativePrompts = negative,
            Seeds = [.. prompts.SelectMany(i => new[] { Seeds[i], Seeds[i] + 100 })],
            ImagesPerPrompt = 2,
            Steps = 3,
            Height = Side,
            Width = Side,
            LatentsOnly = true,
        });
        return result.Latents.clone();
    }
}
