using StorySync.Attention;
using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.TextEncoders;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>A part of a model that is disposed of while another thread computes with it.</summary>
public class ModelLifetimeTests
{
    private static readonly PipelineOptions Cpu = new() { Device = "cpu" };

    public static TheoryData<string, Func<nn.Module>, Action<nn.Module>> Parts() => new()
    {
        { "CLIPTextModel", () => Storybook().TextEncoder,
            part => ((CLIPTextModel)part).call(ones(1, 16, int64), default).LastHiddenState.Dispose() },
        { "CLIPTextModelWithProjection", () => Storybook().TextEncoder2,
            part => ((CLIPTextModelWithProjection)part).call(ones(1, 16, int64), default).LastHiddenState.Dispose() },
        { "T5EncoderModel", () => Flux().TextEncoder2,
            part => ((T5EncoderModel)part).call(ones(1, 256, int64), null, default).Dispose() },
        { "AutoencoderKL.Decode", () => Storybook().Vae, part => ((AutoencoderKL)part).Decode(zeros(1, 4, 16, 16)).Dispose() },
        { "AutoencoderKL.Encode", () => Storybook().Vae, part => ((AutoencoderKL)part).Encode(zeros(1, 3, 128, 128)).Dispose() },
        { "VQModel.Decode", () => Kandinsky3().Movq, part => ((VQModel)part).Decode(zeros(1, 4, 16, 16), quantize: false).Dispose() },
        { "VQModel.Encode", () => Kandinsky3().Movq, part => ((VQModel)part).Encode(zeros(1, 3, 128, 128)).Dispose() },
    };

    [Theory]
    [InlineData("storybook")]
    [InlineData("tiny-kandinsky3")]
    [InlineData("tiny-flux")]
    public async Task A_denoiser_lives_until_the_pass_of_another_thread_is_over(string model)
    {
        using var pipeline = DiffusionPipeline.Load(model == "storybook" ? model : ReferenceData.PathOf($"models/{model}"), Cpu);
        IDisposable denoiser = pipeline switch
        {
            StableDiffusionXLPipeline sdxl => sdxl.UNet,
            Kandinsky3Pipeline kandinsky => kandinsky.UNet,
            _ => ((FluxPipeline)pipeline).Transformer,
        };
        using var gate = new Gate();
        var run = Task.Run(() => pipeline.Generate(
            new GenerationRequest { Prompts = ["a cat"], Height = 64, Width = 64, Steps = 3, Seed = 1, AttentionProcessor = gate }));
        await (await Task.WhenAny(gate.Reached.Task, run));
        var dispose = Task.Run(denoiser.Dispose);
        var early = await Task.WhenAny(dispose, Task.Delay(100, TestContext.Current.CancellationToken)) == dispose;
        gate.Open.Set();
        await dispose;

        Assert.False(early, "Dispose did not wait for the pass.");
        var error = await Assert.ThrowsAsync<ObjectDisposedException>(() => run);
        Assert.Equal(denoiser.GetType().FullName, error.ObjectName);
        Assert.Null(gate.Fault);
        denoiser.Dispose();
    }

    [Theory]
    [MemberData(nameof(Parts), DisableDiscoveryEnumeration = true)]
    public async Task A_part_ends_between_two_calls(string name, Func<nn.Module> load, Action<nn.Module> call)
    {
        for (var i = 0; i < 3; i++)
        {
            var part = load();
            var called = new TaskCompletionSource();
            var calls = Task.Run(() =>
            {
                using var mode = inference_mode();
                using var scope = NewDisposeScope();
                while (true)
                {
                    call(part);
                    called.TrySetResult();
                }
            });
            await (await Task.WhenAny(called.Task, calls));
            part.Dispose();

            var error = await Assert.ThrowsAsync<ObjectDisposedException>(() => calls);
            Assert.StartsWith(part.GetType().Name, name, StringComparison.Ordinal);
            Assert.Equal(part.GetType().FullName, error.ObjectName);
        }
    }

    [Fact]
    public void A_callback_of_a_pass_cannot_dispose_of_its_model()
    {
        using var pipeline = Storybook();
        var refused = 0;
        using var result = pipeline.Generate(new GenerationRequest
        {
            Prompts = ["a cat"], Height = 64, Width = 64, Steps = 1, AttentionProcessor = new Callback(() =>
            {
                Assert.Contains("callback", Assert.Throws<InvalidOperationException>(pipeline.UNet.Dispose).Message,
                    StringComparison.Ordinal);
                refused++;
            }),
        });
        Assert.True(refused > 0);
    }

    private static StableDiffusionXLPipeline Storybook() => StableDiffusionXLPipeline.Load("storybook", Cpu);

    private static FluxPipeline Flux() => FluxPipeline.Load(ReferenceData.PathOf("models/tiny-flux"), Cpu);

    private static Kandinsky3Pipeline Kandinsky3() => Kandinsky3Pipeline.Load(ReferenceData.PathOf("models/tiny-kandinsky3"), Cpu);

    private sealed class Callback(Action call) : IAttentionProcessor
    {
        public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
        {
            call();
            return PlainAttention.Instance.Attend(layer, inputs, context);
        }
    }

    /// <summary>Holds the first pass in its first layer until it is opened.</summary>
    private sealed class Gate : IAttentionProcessor, IDisposable
    {
        public TaskCompletionSource Reached { get; } = new();

        public ManualResetEventSlim Open { get; } = new();

        public Exception? Fault { get; private set; }

        public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
        {
            Reached.TrySetResult();
            Open.Wait();
            try
            {
                return PlainAttention.Instance.Attend(layer, inputs, context);
            }
            catch (Exception exception)
            {
                Fault = exception;
                throw;
            }
        }

        public void Dispose() => Open.Dispose();
    }
}
