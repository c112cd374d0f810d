using System.Text.Json;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Scales of LoRAs that hold for one generation.</summary>
public sealed class LoraScaleTests : IDisposable
{
    private static readonly GenerationRequest Cat =
        new() { Prompts = ["a cat"], Height = 64, Width = 64, Steps = 2, Seed = 1, LatentsOnly = true };
    private static readonly GenerationRequest Half = Cat with { LoraScales = new Dictionary<string, double> { ["style"] = 0.5 } };
    private static readonly Story Bear = new() { Subjects = ["a bear"], Scenes = [new("a bear standing"), new("a bear waving")] };

    private readonly TemporaryFolder folder = new();
    private readonly StableDiffusionXLPipeline pipeline =
        StableDiffusionXLPipeline.Load("storybook", new PipelineOptions { Device = "cpu" });

    public LoraScaleTests()
    {
        using var generator = new Generator(3, CPU);
        foreach (var (name, layer) in (ReadOnlySpan<(string, string)>)[("style", "to_q"), ("other", "to_out.0")])
        {
            var path = $"mid_block.attentions.0.transformer_blocks.0.attn1.{layer}";
            var shape = pipeline.UNet.get_parameter(path + ".weight")!.shape;
            SafetensorsWriter.Write(folder.PathOf(name + ".safetensors"), new Dictionary<string, Tensor>
            {
                [$"unet.{path}.lora_A.weight"] = randn([2, shape[1]], generator: generator),
                [$"unet.{path}.lora_B.weight"] = randn([shape[0], 2], generator: generator),
            });
            pipeline.Loras.Load(folder.PathOf(name + ".safetensors"));
        }
    }

    [Fact]
    public void They_are_those_that_the_adapters_could_have_and_go_with_the_generation()
    {
        var before = Run(Cat);
        var half = Run(Half);
        var after = Run(Cat);
        pipeline.Loras.SetScale("style", 0.5);

        Same(Run(Cat), half);
        Same(before, after);
        Assert.False(half.equal(before).all().item<bool>());
    }

    [Fact]
    public void They_hold_for_a_story()
    {
        var half = RunStory(Half);
        var after = RunStory(Cat);
        pipeline.Loras.SetScale("style", 0.5);

        Same(RunStory(Cat), half);
        Assert.False(half.equal(after).all().item<bool>());
    }

    [Fact]
    public void They_go_with_a_generation_that_fails_or_is_cancelled()
    {
        var before = Run(Cat);
        Assert.Throws<FormatException>(() => pipeline.Generate(Half with { OnStep = _ => throw new FormatException() }));
        using var source = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() =>
            pipeline.Generate(Half with { OnStep = _ => source.Cancel() }, cancellationToken: source.Token));

        Same(before, Run(Cat));
        Assert.Equal(1, pipeline.Loras.Scales["style"]);
    }

    [Fact]
    public async Task Generations_at_the_same_time_keep_to_their_own()
    {
        var (plain, half) = (Run(Cat), Run(Half));
        Tensor[] made = await Task.WhenAll(Enumerable.Range(0, 6).Select(i => Task.Run(() => Run(i % 2 == 0 ? Cat : Half))));

        Assert.All(made.Index(), run => Same(run.Index % 2 == 0 ? plain : half, run.Item));
    }

    [Fact]
    public async Task Who_waits_for_one_can_be_cancelled()
    {
        using var source = new CancellationTokenSource();
        using var begun = new ManualResetEventSlim();
        using var end = new ManualResetEventSlim();
        var first = Task.Run(() => Run(Half with
        {
            OnStep = _ =>
            {
                begun.Set();
                end.Wait();
            },
        }));
        begun.Wait(TestContext.Current.CancellationToken);
        Task[] waiting = [Task.Run(() => pipeline.Generate(Cat, cancellationToken: source.Token)),
            Task.Run(() => pipeline.Generate(Half, cancellationToken: source.Token))];
        await source.CancelAsync();
        foreach (var task in waiting)
        {
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => task);
        }

        end.Set();
        await first;
        Run(Half);
    }

    [Fact]
    public void A_callback_of_one_cannot_generate()
    {
        var refused = 0;
        Run(Half with
        {
            OnStep = _ =>
            {
                Assert.Contains("callback", Assert.Throws<InvalidOperationException>(() => pipeline.Generate(Cat)).Message,
                    StringComparison.Ordinal);
                refused++;
            },
        });
        Assert.Equal(2, refused);
    }

    [Theory]
    [InlineData("sytle", 1, "LoraScales names 'sytle', and no such LoRA is loaded; loaded are: style, other.")]
    [InlineData("style", double.NaN, "LoraScales has NaN for 'style'; it must be a number.")]
    public void What_is_not_right_is_refused_by_name(string name, double scale, string message)
    {
        var request = Cat with { LoraScales = new Dictionary<string, double> { [name] = scale } };
        Assert.Equal(message, Assert.Throws<ArgumentException>(() => pipeline.Generate(request)).Message);
        Assert.Equal(message, Assert.Throws<ArgumentException>(() =>
            pipeline.GenerateStory(Bear, new StoryOptions { Request = request with { Prompts = [], LatentsOnly = false } })).Message);
    }

    [Fact]
    public void Where_LoRAs_are_off_they_have_no_effect_and_a_warning_says_so()
    {
        pipeline.Loras.Enabled = false;
        using var result = pipeline.Generate(Half);
        Assert.Contains(result.Warnings, warning => warning.Message.StartsWith("LoraScales has no effect", StringComparison.Ordinal));
        Same(Run(Cat), result.Latents);
    }

    [Fact]
    public void They_go_through_JSON() => Assert.Equal(
        0.5, JsonSerializer.Deserialize<GenerationRequest>(JsonSerializer.Serialize(Half))!.LoraScales!["style"]);

    public void Dispose()
    {
        pipeline.Dispose();
        folder.Dispose();
    }

    private static void Same(Tensor expected, Tensor actual) => Assert.True(expected.equal(actual).all().item<bool>());

    private Tensor Run(GenerationRequest request)
    {
        using var result = pipeline.Generate(request);
        return result.Latents.clone();
    }

    private Tensor RunStory(GenerationRequest request)
    {
        using var result = pipeline.GenerateStory(
            Bear, new StoryOptions { Request = request with { Prompts = [], LatentsOnly = false } });
        return result.Latents.clone();
    }
}
