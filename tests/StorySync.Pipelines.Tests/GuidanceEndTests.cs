using StorySync.Attention;
using StorySync.Diffusion.Sdxl;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Guidance that ends before the last step, on every architecture.</summary>
public class GuidanceEndTests(StorybookModel sdxl, FluxModel flux, Kandinsky3Model kandinsky3)
    : IClassFixture<StorybookModel>, IClassFixture<FluxModel>, IClassFixture<Kandinsky3Model>
{
    private const int Side = 128;

    private static readonly RgbImage Picture = new(Side, Side, [.. Enumerable.Range(0, 3 * Side * Side).Select(i => (byte)(i * 7 % 251))]);
    private static readonly RgbImage Mask =
        new(Side, Side, [.. Enumerable.Range(0, 3 * Side * Side).Select(i => (byte)(i < Side * Side ? 255 : 0))]);

    private static readonly GenerationRequest Two = new()
    {
        Prompts = ["a bear in the forest", "a cat in the snow"], NegativePrompts = ["a house"], Steps = 4, GuidanceScale = 3, Seed = 0,
            LatentsOnly = true,
    };

    private static readonly Story Bear = new()
    {
        Subjects = ["a bear"],
        Scenes = [new("a bear standing in the forest"), new("a bear waving at the beach"), new("a bear jumping in the snow")],
    };

    private static readonly StoryOptions Quick = new() { Request = new() { Steps = 4, GuidanceScale = 4, Seed = 5 } };

    [Theory]
    [InlineData(1, 4, 4, 4, 4)]
    [InlineData(0.75, 4, 4, 4, 2)]
    [InlineData(0.5, 4, 4, 2, 2)]
    [InlineData(0.4, 4, 4, 2, 2)]
    [InlineData(0.01, 4, 2, 2, 2)]
    public void From_there_on_the_batch_has_the_positive_half_alone(double end, params int[] rows)
    {
        var request = Two with { GuidanceEnd = end };

        Assert.Equal(rows, RowsOf(sdxl.Pipeline, request));
        Assert.Equal(rows, RowsOf(kandinsky3.Pipeline, request with { Height = 64, Width = 64 }));
        Assert.Equal(rows, RowsOf(flux.Schnell, new FluxRequest
        {
            Prompts = request.Prompts,
            NegativePrompts = request.NegativePrompts,
            TrueCfgScale = 3,
            Height = 64,
            Width = 64,
            Steps = 4,
            GuidanceEnd = end,
            LatentsOnly = true,
        }));
    }

    [Fact]
    public void It_counts_the_steps_that_are_made_of_a_picture()
    {
        var request = Two with { Images = [Picture], Strength = 0.5, Steps = 8, GuidanceEnd = 0.5 };

        Assert.Equal([4, 4, 2, 2], RowsOf(sdxl.Pipeline, request));
        Assert.Equal([4, 4, 2, 2], RowsOf(sdxl.Pipeline, request with { Mask = Mask }));
    }

    [Fact]
    public void Steps_before_it_are_the_exact_ones_and_those_behind_read_the_positive_prompts()
    {
        var request = new StableDiffusionXLRequest
        {
            Prompts = Two.Prompts,
            NegativePrompts = Two.NegativePrompts,
            Steps = 4,
            GuidanceScale = 3,
            Seed = 0,
            LatentsOnly = true,
            NegativeOriginalSize = (64, 64),
            NegativeTargetSize = (64, 64),
        };
        var (exact, _) = Record(request);
        var (ended, inputs) = Record(request with { GuidanceEnd = 0.5 });

        Assert.Equal([true, true, false, false], exact.Zip(ended, TensorAssert.SameBitsAs));
        TensorAssert.SameBits(inputs[0].EncoderHiddenStates[2..], inputs[2].EncoderHiddenStates);
        TensorAssert.SameBits(inputs[0].TextEmbeds![2..], inputs[2].TextEmbeds!);
        TensorAssert.SameBits(inputs[0].TimeIds![2..], inputs[2].TimeIds!);
    }

    [Fact]
    public void Where_guidance_is_off_it_has_no_meaning()
    {
        using var off = sdxl.Pipeline.Generate(Two with { GuidanceScale = 1 });
        using var ended = sdxl.Pipeline.Generate(Two with { GuidanceScale = 1, GuidanceEnd = 0.5 });

        TensorAssert.SameBits(off.Latents, ended.Latents);
    }

    [Fact]
    public void A_storys_batches_follow()
    {
        var rows = new long[4];
        var hook = sdxl.Pipeline.UNet.register_forward_hook((_, inputs, context, answer) =>
        {
            rows[context.Step] += inputs.Sample.shape[0];
            return answer;
        });
        using var story = sdxl.Pipeline.GenerateStory(Bear, Quick.With(r => r with { GuidanceEnd = 0.25 }));
        hook.remove();

        // The unmodified branch runs along in the first two steps.
        Assert.Equal([12, 6, 3, 3], rows);
        Assert.All(story.Scenes, scene => Assert.InRange(scene.Subjects[0].Region!.Area, 0.01, 0.99));
    }

    [Fact]
    public void A_storys_scenes_share_behind_it_too()
    {
        var options = Quick.With(r => r with { GuidanceEnd = 0.25 }) with { Techniques = StoryAttentionOptions.Disabled };
        using var shared = sdxl.Pipeline.GenerateStory(
            Bear, options with { Techniques = StoryAttentionOptions.Disabled with { Sharing = new() { Steps = new(0.5, 1) } } });
        using var alone = sdxl.Pipeline.GenerateStory(Bear, options);
        using var plain = sdxl.Pipeline.Generate(new GenerationRequest
        {
            Prompts = [.. Bear.Scenes.Select(scene => scene.Prompt)],
            Steps = options.Request!.Steps,
            GuidanceScale = options.Request.GuidanceScale,
            GuidanceEnd = options.Request.GuidanceEnd,
            Seed = options.Request.Seed,
            LatentsOnly = true,
        });

        TensorAssert.SameBits(plain.Latents, alone.Latents);
        Assert.False(shared.Latents.SameBitsAs(alone.Latents));
    }

    [Fact]
    public async Task Runs_with_other_ends_do_not_disturb_each_other()
    {
        GenerationRequest[] requests = [Two, Two with { GuidanceEnd = 0.5 }, Two with { GuidanceEnd = 0.25 }];
        var alone = requests.Select(request => sdxl.Pipeline.Generate(request)).ToList();
        var together = await Task.WhenAll(requests.Select(request => sdxl.Pipeline.GenerateAsync(request)));

        Assert.All(alone.Zip(together), pair => TensorAssert.SameBits(pair.First.Latents, pair.Second.Latents));
        alone.Concat(together).ToList().ForEach(result => result.Dispose());
    }

    private static IEnumerable<int> RowsOf(DiffusionPipeline pipeline, GenerationRequest request)
    {
        using var recorder = new RecordingProcessor();
        using var result = pipeline.Generate(request with { AttentionProcessor = recorder });
        return recorder.Calls.Where(call => call.Layer.Path == recorder.Calls[0].Layer.Path).Select(call => (int)call.Query[0]);
    }

    /// <summary>The latents after every step, and what the model was given.</summary>
    private (List<Tensor> Latents, List<UNetInputs> Inputs) Record(GenerationRequest request)
    {
        var (latents, inputs) = (new List<Tensor>(), new List<UNetInputs>());
        var hook = sdxl.Pipeline.UNet.register_forward_hook((_, given, _, answer) =>
        {
            inputs.Add(given with
            {
                EncoderHiddenStates = Copy(given.EncoderHiddenStates), TextEmbeds = Copy(given.TextEmbeds!), TimeIds = Copy(given.TimeIds!),
            });
            return answer;
        });
        using var result = sdxl.Pipeline.Generate(request with { OnStep = step => latents.Add(Copy(step.Latents)) });
        hook.remove();
        return (latents, inputs);

        static Tensor Copy(Tensor tensor) => tensor.clone().DetachFromDisposeScope();
    }
}
