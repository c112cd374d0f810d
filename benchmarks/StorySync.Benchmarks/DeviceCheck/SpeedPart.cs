using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using StorySync.Attention;
using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Flux;
using StorySync.Diffusion.Kandinsky3;
using StorySync.Diffusion.Sdxl;
using StorySync.Diffusion.Weights;
using StorySync.Pipelines;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Benchmarks.DeviceCheck;

/// <summary>Models at full size with random weights, and stories against the same images without the techniques.</summary>
internal static class SpeedPart
{
    private static readonly (ScalarType Dtype, string Name)[] Types =
        [(ScalarType.BFloat16, "bf16"), (ScalarType.Float16, "f16"), (ScalarType.Float32, "f32")];

    public static void Run(DeviceCheckRun run)
    {
        var ours = new Dictionary<string, double>();
        run.Row("story, storybook", () => Story(run));
        run.Row("story, sdxl bf16, given masks", () => FullStory(run));
        Row("flux-bf16", () => Flux(run));
        foreach (var (dtype, name) in Types)
        {
            Row($"unet-{name}", () => UNet(run, dtype));
        }

        foreach (var (dtype, name) in Types[..2])
        {
            Row($"vae-{name}", () => Vae(run, dtype));
        }

        if (!run.Small)
        {
            Row("k3-bf16", () => Kandinsky3(run));
        }

        foreach (var (dtype, name) in run.Small ? Types[2..] : Types)
        {
            Row($"pipe4-{name}", () => Pipeline(run, dtype));
        }

        if (ours.Count > 0)
        {
            Diffusers(run, ours);
        }

        void Row(string name, Func<(double Median, string Text)> work) => run.Row(name, () =>
        {
            var (median, text) = work();
            ours[name] = median;
            return text;
        });
    }

    /// <summary>The same rows by diffusers, in the Python of the libtorch that is loaded.</summary>
    private static void Diffusers(DeviceCheckRun run, Dictionary<string, double> ours)
    {
        var script = Path.Combine("benchmarks", "python", "device_check.py");
        if (!File.Exists(script))
        {
            run.Row("diffusers", () => $"not compared: no {script} here");
            return;
        }

        var interpreter = Environment.GetEnvironmentVariable("PYTHON") ?? "python3";
        using var python = new Process
        {
            StartInfo = new ProcessStartInfo(
                interpreter,
                [
                    script, "--device", run.Name, .. run.Small ? ["--small"] : (string[])[], "--only", run.Only ?? "",
                    "--folder", ModelFolder.Open("storybook").Path,
                ])
            {
                RedirectStandardOutput = true,
            },
        };
        try
        {
            python.Start();
        }
        catch (Win32Exception)
        {
            run.Row("diffusers", () => $"not compared: no {interpreter} here");
            return;
        }

        while (!run.IsLate && python.StandardOutput.ReadLine() is { } line)
        {
            if (line.Split(' ') is ["T", var name, var seconds, var taken])
            {
                var theirs = double.Parse(seconds, CultureInfo.InvariantCulture);
                var mine = ours.GetValueOrDefault(name.Replace("-channels-last", "", StringComparison.Ordinal), double.NaN);
                run.Row($"{name} by diffusers", () =>
                    DeviceCheckRun.Invariant($"{theirs:F5} s, {taken} MiB reserved, ours / diffusers {mine / theirs:F2}"));
            }
        }

        if (!python.HasExited)
        {
            python.Kill(entireProcessTree: true);
        }
    }

    private static string Story(DeviceCheckRun run)
    {
        using var pipeline = run.Load("storybook");
        return string.Join("; ", (run.Small ? (int[])[2] : [4, 8]).Select(scenes =>
        {
            var plain = Time(run, 5, 5, () => Outcome.OfImages(pipeline, Options(null), scenes));
            var told = Time(run, 5, 5, () => Make(null));
            var shared = Time(run, 5, 5, () => Make(new() { Layout = new() { Until = 0 } }));
            return Ratios(scenes, plain.Median, told.Median, shared.Median);

            void Make(StoryAttentionOptions? techniques) => Outcome.OfStory(pipeline, Options(techniques), scenes);

            StoryOptions Options(StoryAttentionOptions? techniques) =>
                Outcome.StoryOptions("storybook", run.Small, run.Small ? 2 : 20, techniques);
        }));
    }

    /// <summary>A story's denoising at SDXL's full size, as the pipeline does it, the subject a quarter of each image.</summary>
    private static string FullStory(DeviceCheckRun run)
    {
        var (config, side, steps) = (run.Small ? ModelRuns.SmallUNet : ModelRuns.FullUNet, run.Small ? 16 : 128, run.Small ? 4 : 10);
        using var model = RandomWeights.Bind(new UNet2DConditionModel(config), ScalarType.BFloat16, run.Device);
        return string.Join("; ", (run.Small ? (int[])[2] : [4, 8]).Select(scenes =>
        {
            var plain = Time(run, 1, 1, () => Denoise(StoryAttentionOptions.Disabled));
            var told = Time(run, 1, 1, () => Denoise(new()));
            var shared = Time(run, 0, 1, () => Denoise(new() { Layout = new() { Until = 0 } }));
            return $"{Ratios(scenes, plain.Median, told.Median, shared.Median)}, {steps} steps, card {DeviceCheckRun.CardMiB()} MiB";

            void Denoise(StoryAttentionOptions techniques)
            {
                using var story = new StoryAttention(
                    techniques,
                    [new("subject", [.. Enumerable.Repeat<IReadOnlyList<int>>([], scenes)]) { Masks = [.. Masks(scenes)] }],
                    scenes,
                    guidance: true);
                var context = new DenoisingContext { Steps = steps, Processor = story };
                for (var step = 0; step < steps; step++)
                {
                    using var scope = NewDisposeScope();
                    context.Step = step;
                    var batch = story.BatchAt(step, steps);
                    foreach (var branch in batch.HasBase ? (GuidanceBranch?[])[GuidanceBranch.Conditional, GuidanceBranch.Unconditional]
                        : [null])
                    {
                        context.Branch = branch;
                        model.call(Inputs(config, branch is null ? batch.Rows : batch.Rows / 2, side, ScalarType.BFloat16, run.Device),
                            context);
                    }

                    story.CompleteStep();
                }
            }
        }));

        // A quarter of the image, elsewhere in every scene.
        static IEnumerable<Tensor> Masks(int scenes) => Enumerable.Range(0, scenes).Select(scene =>
        {
            var mask = zeros(16, 16);
            mask.narrow(0, scene % 8, 8).narrow(1, (scene * 3) % 8, 8).copy_(ones(8, 8));
            return mask;
        });
    }

    private static UNetInputs Inputs(UNet2DConditionConfig config, long rows, long side, ScalarType dtype, Device device)
    {
        return new(Random(rows, config.InChannels, side, side), tensor(500f, device: device), Random(rows, 77, config.CrossAttentionDim[0]))
        {
            TextEmbeds = Random(rows, config.ProjectionClassEmbeddingsInputDim!.Value - (6 * config.AdditionTimeEmbedDim!.Value)),
            TimeIds = Random(rows, 6),
        };

        Tensor Random(params long[] shape) => randn(shape, dtype: dtype, device: device);
    }

    private static (double Median, string Text) UNet(DeviceCheckRun run, ScalarType dtype)
    {
        var config = run.Small ? ModelRuns.SmallUNet : ModelRuns.FullUNet;
        using var model = RandomWeights.Bind(new UNet2DConditionModel(config), dtype, run.Device);
        var inputs = Inputs(config, 2, run.Small ? 16 : 128, dtype, run.Device);
        return Time(run, 3, 10, () => model.call(inputs, new DenoisingContext()).Dispose());
    }

    private static (double Median, string Text) Vae(DeviceCheckRun run, ScalarType dtype)
    {
        using var model = RandomWeights.Bind(new AutoencoderKL(run.Small ? ModelRuns.SmallVae : ModelRuns.FullVae), dtype, run.Device);
        var side = run.Small ? 8 : 128;
        var latents = randn([1, 4, side, side], dtype: dtype, device: run.Device);
        return Time(run, 2, 6, () => model.Decode(latents).Dispose());
    }

    private static (double Median, string Text) Kandinsky3(DeviceCheckRun run)
    {
        using var model = RandomWeights.Bind(new Kandinsky3UNet(new Kandinsky3UNetConfig()), ScalarType.BFloat16, run.Device);
        var inputs = new Kandinsky3Inputs(
            randn([2, 4, 128, 128], dtype: ScalarType.BFloat16, device: run.Device),
            tensor(500f, device: run.Device),
            randn([2, 77, model.Config.EncoderHidDim], dtype: ScalarType.BFloat16, device: run.Device))
        {
            EncoderAttentionMask = ones([2, 77], dtype: ScalarType.BFloat16, device: run.Device),
        };
        return Time(run, 2, 6, () => model.call(inputs, new DenoisingContext()).Dispose());
    }

    private static (double Median, string Text) Flux(DeviceCheckRun run)
    {
        var config = run.Small
            ? new FluxTransformer2DConfig
            {
                NumLayers = 1, NumSingleLayers = 1, NumAttentionHeads = 2, JointAttentionDim = 64, PooledProjectionDim = 32,
            }
            : new FluxTransformer2DConfig();
        var dtype = run.OnCuda ? ScalarType.BFloat16 : ScalarType.Float32;
        using var model = RandomWeights.Bind(new FluxTransformer2DModel(config), dtype, run.Device);
        var (grid, tokens) = run.Small ? (FluxLatents.Grid(8, 8), 8) : (FluxLatents.Grid(128, 128), 512);
        var inputs = new FluxInputs(
            randn([1, grid.Tokens, config.InChannels], dtype: dtype, device: run.Device),
            grid,
            randn([1, tokens, config.JointAttentionDim], dtype: dtype, device: run.Device),
            randn([1, config.PooledProjectionDim], dtype: dtype, device: run.Device),
            tensor([0.5f], device: run.Device),
            model.EmbedPositions(FluxLatents.TextIds(tokens), FluxLatents.ImageIds(grid)).To(run.Device));
        return Time(run, 2, 5, () => model.call(inputs, new DenoisingContext()).Dispose());
    }

    private static (double Median, string Text) Pipeline(DeviceCheckRun run, ScalarType dtype)
    {
        using var pipeline = run.Load("storybook", dtype);
        var request = new GenerationRequest
        {
            Prompts = [.. Enumerable.Repeat("a cat standing in the forest", 4)],
            Steps = run.Small ? 2 : 20,
            Height = 128,
            Width = 128,
            GuidanceScale = 5,
        };
        return Time(run, 1, 3, () => pipeline.Generate(request).Dispose());
    }

    private static string Ratios(int scenes, double plain, double story, double withoutBase) => DeviceCheckRun.Invariant(
        $"{scenes} scenes {story:F3} s, plain {plain:F3} s: {story / plain:F2} times, without base layout {withoutBase / plain:F2}");

    private static (double Median, string Text) Time(DeviceCheckRun run, int warmup, int times, Action work)
    {
        var (seconds, started) = (new List<double>(), Stopwatch.StartNew());
        for (var i = 0; i < warmup + times && (seconds.Count == 0 || started.Elapsed.TotalSeconds < 20); i++)
        {
            using var scope = NewDisposeScope();
            run.Synchronize();
            var watch = Stopwatch.StartNew();
            work();
            run.Synchronize();
            if (i >= warmup)
            {
                seconds.Add(watch.Elapsed.TotalSeconds);
            }
        }

        seconds.Sort();
        var median = seconds[seconds.Count / 2];
        var text = DeviceCheckRun.Invariant($"{median:F5} s ({seconds[0]:F5} to {seconds[^1]:F5}, {seconds.Count} times)");
        return (median, $"{text}, card {DeviceCheckRun.CardMiB()} MiB");
    }
}
