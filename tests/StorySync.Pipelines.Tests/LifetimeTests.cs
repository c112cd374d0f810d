using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>A pipeline lives as long as its runs; changes of its weights wait for them.</summary>
public class LifetimeTests
{
    private static readonly PipelineOptions Cpu = new() { Device = "cpu" };
    private static readonly GenerationRequest Cat = new() { Prompts = ["a cat"], Height = 64, Width = 64, Steps = 4, Seed = 1 };
    private static readonly Story Bear = new() { Subjects = ["a bear"], Scenes = [new("a bear standing"), new("a bear waving")] };

    public static TheoryData<string, Action<StableDiffusionXLPipeline>> Members() => new()
    {
        { "Generate", pipeline => pipeline.Generate(Cat) },
        { "GenerateStory", pipeline => pipeline.GenerateStory(Bear) },
        { "PlanMemory", pipeline => pipeline.PlanMemory(Cat) },
        { "PlanMemory of a story", pipeline => pipeline.PlanMemory(Bear) },
        { "Scheduler", pipeline => _ = pipeline.Scheduler },
        { "Scheduler, set", pipeline => pipeline.Scheduler = new StorySync.Diffusion.Schedulers.DDIMScheduler(new()) },
        { "PreviewDecoder", pipeline => _ = pipeline.PreviewDecoder },
        { "Loras", pipeline => pipeline.Loras.Load("none.safetensors") },
        { "AttentionProcessors", pipeline => _ = pipeline.AttentionProcessors },
        { "UNet", pipeline => _ = pipeline.UNet },
        { "Vae", pipeline => _ = pipeline.Vae },
        { "TextEncoder2", pipeline => _ = pipeline.TextEncoder2 },
        { "Tokenizer", pipeline => _ = pipeline.Tokenizer },
        { "DefaultSize", pipeline => _ = pipeline.DefaultSize },
    };

    [Theory]
    [MemberData(nameof(Members), DisableDiscoveryEnumeration = true)]
    public void A_disposed_pipeline_says_so(string member, Action<StableDiffusionXLPipeline> use)
    {
        var pipeline = StableDiffusionXLPipeline.Load("storybook", Cpu);
        pipeline.Dispose();
        pipeline.Dispose();

        var error = Assert.Throws<ObjectDisposedException>(() => use(pipeline));
        Assert.True(error.ObjectName == typeof(StableDiffusionXLPipeline).FullName, $"{member}: {error.ObjectName}");
    }

    [Fact]
    public void A_disposed_result_says_so()
    {
        using var pipeline = StableDiffusionXLPipeline.Load("storybook", Cpu);
        var result = pipeline.Generate(Cat with { Steps = 1 });
        var story = pipeline.GenerateStory(Bear, new StoryOptions { Request = new() { Steps = 1, Height = 64, Width = 64 } });
        result.Dispose();
        story.Dispose();

        Assert.Throws<ObjectDisposedException>(() => result.Latents);
        Assert.Throws<ObjectDisposedException>(() => story.Latents);
    }

    [Theory]
    [InlineData("storybook")]
    [InlineData("tiny-sdxl")]
    [InlineData("tiny-kandinsky3")]
    [InlineData("tiny-flux")]
    public async Task Disposing_during_a_run_ends_the_run_in_order(string model)
    {
        var folder = model == "storybook" ? model : ReferenceData.PathOf($"models/{model}");
        for (var atStep = 1; atStep <= 3; atStep++)
        {
            var pipeline = DiffusionPipeline.Load(folder, Cpu);
            using var reached = new ManualResetEventSlim();
            var run = Task.Run(() => pipeline.Generate(Cat with { OnStep = step => Reach(reached, step.Index + 1 == atStep) }));
            reached.Wait(TestContext.Current.CancellationToken);
            pipeline.Dispose();

            // The last step may have been made already: then the images are there.
            try
            {
                using var result = await run;
                Assert.Single(result.Images);
            }
            catch (ObjectDisposedException exception)
            {
                Assert.Equal(pipeline.GetType().FullName, exception.ObjectName);
            }
        }
    }

    [Fact]
    public void Disposing_from_a_runs_own_callback_is_refused()
    {
        using var pipeline = StableDiffusionXLPipeline.Load("storybook", Cpu);
        var refused = 0;
        using var result = pipeline.Generate(
            Cat with { OnStep = _ => refused += Refuses(pipeline.Dispose) + Refuses(() => pipeline.Loras.Enabled = false) });

        Assert.Equal(2 * 4, refused);
        Assert.Single(result.Images);

        static int Refuses(Action action)
        {
            Assert.Contains("callback", Assert.Throws<InvalidOperationException>(action).Message, StringComparison.Ordinal);
            return 1;
        }
    }

    [Fact]
    public async Task A_change_of_LoRAs_waits_for_the_runs()
    {
        using var pipeline = StableDiffusionXLPipeline.Load("storybook", Cpu);
        using var before = pipeline.Generate(Cat);
        var file = Path.Combine(Directory.CreateTempSubdirectory("storysync-test-").FullName, "style.safetensors");
        const string Layer = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q";
        var weight = pipeline.UNet.get_parameter(Layer["unet.".Length..] + ".weight")!;
        SafetensorsWriter.Write(file, new Dictionary<string, Tensor>
        {
            [$"{Layer}.lora_A.weight"] = ones(2, weight.shape[1]),
            [$"{Layer}.lora_B.weight"] = ones(weight.shape[0], 2),
        });

        Task change = Task.CompletedTask;
        using var during =
            pipeline.Generate(Cat with { OnStep = step => change = step.Index == 0 ? Task.Run(() => pipeline.Loras.Load(file)) : change });
        await change;
        using var after = pipeline.Generate(Cat);

        Assert.True(before.Latents.equal(during.Latents).all().item<bool>());
        Assert.False(before.Latents.equal(after.Latents).all().item<bool>());
        Directory.Delete(Path.GetDirectoryName(file)!, recursive: true);
    }

    [Fact]
    public void Elapsed_time_never_decreases_and_what_remains_comes_to_nothing()
    {
        using var pipeline = StableDiffusionXLPipeline.Load("storybook", Cpu);
        var seen = new List<GenerationProgress>();
        using var result = pipeline.Generate(Cat, new Recorder(seen));

        Assert.Equal(
            [GenerationStage.Encoding, .. Enumerable.Repeat(GenerationStage.Denoising, 4), GenerationStage.Decoding, GenerationStage.Done],
            seen.Select(p => p.Stage));
        Assert.All(seen.Zip(seen.Skip(1)), pair => Assert.True(pair.First.Elapsed <= pair.Second.Elapsed));
        Assert.True(seen[^1].Elapsed > TimeSpan.Zero);
        Assert.Null(seen[0].Remaining);
        Assert.All(seen[1..4], p => Assert.True(p.Remaining > TimeSpan.Zero));
        Assert.All(seen[4..], p => Assert.Equal(TimeSpan.Zero, p.Remaining));
    }

    private static void Reach(ManualResetEventSlim reached, bool there)
    {
        if (there)
        {
            reached.Set();
        }
    }

    private sealed class Recorder(List<GenerationProgress> seen) : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value) => seen.Add(value);
    }
}
