using System.Diagnostics;
using StorySync.Pipelines;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Benchmarks.DeviceCheck;

/// <summary>Options that change where and when something is computed, against the plain run on the same device.</summary>
internal static class OptionsPart
{
    public static void Run(DeviceCheckRun run)
    {
        using var pipeline = run.Load("storybook");
        var request = Outcome.Request("storybook", run.Small);
        var plain = Outcome.Of(() => pipeline.Generate(request));
        run.Row("same again", () => Outcome.Of(() => pipeline.Generate(request)).Against(plain));
        run.Row("Offload", () =>
        {
            using var offloaded = run.Load("storybook", change: options => options with { Offload = true });
            return Outcome.Of(() => offloaded.Generate(request)).Against(plain);
        });
        run.Row("Offload, story", () =>
        {
            using var offloaded = run.Load("storybook", change: options => options with { Offload = true });
            var story = Outcome.StoryOptions("storybook", run.Small);
            return Outcome.OfStory(offloaded, story).Against(Outcome.OfStory(pipeline, story));
        });
        run.Row("TiledDecoding", () =>
        {
            using var tiled = run.Load("storybook", change: options => options with { TiledDecoding = true });
            var large = request with { Height = 256, Width = 256, Prompts = ["a rabbit in the snow"] };
            return Outcome.Of(() => tiled.Generate(large)).Against(Outcome.Of(() => pipeline.Generate(large)));
        });
        run.Row("BlockCacheThreshold", () =>
            Outcome.Of(() => pipeline.Generate(request with { BlockCacheThreshold = 0.15 })).Against(plain));
        run.Row("GuidanceEnd", () => Outcome.Of(() => pipeline.Generate(request with { GuidanceEnd = 0.5 })).Against(plain));
        run.Row("several images in a batch, the first", () =>
        {
            var one = Outcome.Of(() => pipeline.Generate(request with { Prompts = ["a rabbit in the snow"] }));
            var many = Outcome.Of(() => pipeline.Generate(request with { Prompts = ["a rabbit in the snow"], ImagesPerPrompt = 4 }));
            return (many with { Images = [many.Images[0]], Latents = many.Latents[..one.Latents.Length] }).Against(one);
        });
        run.Row("previews", () =>
        {
            var seen = 0;
            pipeline.Generate(request with { PreviewInterval = 2 },
                new Progress(progress => seen += progress.Previews?.Count ?? 0)).Dispose();
            return $"{seen} images";
        });
        run.Row("cancellation", () => Cancel(pipeline, request with { Steps = 40 }));
        run.Row("two runs simultaneously", () =>
        {
            Task<GenerationResult>[] both = [pipeline.GenerateAsync(request), pipeline.GenerateAsync(request)];
            Task.WaitAll(both);
            return string.Join("; ", both.Select(task => Outcome.Of(() => task.Result).Against(plain)));
        });
        run.Row("StreamBlocks", () =>
        {
            if (!run.Has("tiny-flux"))
            {
                return "left out: no tiny-flux in --models";
            }

            using var whole = run.Load("tiny-flux");
            using var streamed = run.Load("tiny-flux", change: options => options with { StreamBlocks = true });
            var asked = Outcome.Request("tiny-flux", run.Small);
            return Outcome.Of(() => streamed.Generate(asked)).Against(Outcome.Of(() => whole.Generate(asked)));
        });
    }

    private static string Cancel(DiffusionPipeline pipeline, GenerationRequest request)
    {
        using var source = new CancellationTokenSource();
        var watch = new Stopwatch();
        var progress = new Progress(told =>
        {
            if (told is { Stage: GenerationStage.Denoising, Step: 2 })
            {
                watch.Start();
                source.Cancel();
            }
        });
        try
        {
            pipeline.Generate(request, progress, source.Token).Dispose();
        }
        catch (OperationCanceledException)
        {
            return DeviceCheckRun.Invariant($"returned after {watch.Elapsed.TotalMilliseconds:F0} ms");
        }

        throw new InvalidOperationException("The run was not cancelled.");
    }

    /// <summary>Reports immediately, on the thread of the run.</summary>
    private sealed class Progress(Action<GenerationProgress> told) : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value) => told(value);
    }
}
