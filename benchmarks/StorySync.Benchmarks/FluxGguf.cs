using System.CommandLine;
using System.Diagnostics;
using System.Text.Json.Nodes;
using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Flux;
using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Weights;
using StorySync.Pipelines;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Benchmarks;

/// <summary>FLUX.1 schnell at real width with weights in fewer bits: what an image takes of memory, and what decoding takes of
/// time.</summary>
internal static class FluxGguf
{
    // The sizes of FLUX.1's other parts; those of the transformer are the class's defaults.
    private static readonly T5Config T5 = new()
    {
        VocabSize = 32128, DModel = 4096, DKv = 64, DFf = 10240, NumLayers = 24, NumHeads = 64, FeedForwardProj = "gated-gelu",
    };

    private static readonly CLIPTextConfig Clip = new()
    {
        VocabSize = 49408, HiddenSize = 768, IntermediateSize = 3072, NumHiddenLayers = 12, NumAttentionHeads = 12, ProjectionDim = 768,
    };

    private static readonly AutoencoderKLConfig Vae = new()
    {
        BlockOutChannels = [128, 256, 512, 512], DownBlockTypes = [.. Enumerable.Repeat("DownEncoderBlock2D", 4)],
        UpBlockTypes = [.. Enumerable.Repeat("UpDecoderBlock2D", 4)], LayersPerBlock = 2, LatentChannels = 16, ScalingFactor = 0.3611,
        ShiftFactor = 0.1159, UseQuantConv = false, UsePostQuantConv = false,
    };

    public static Command Command()
    {
        var folder = new Option<DirectoryInfo?>("--folder")
        {
            Description = "Where the files are, or are to be; a temporary folder by default.",
        };
        var format = new Option<string>("--format")
        {
            DefaultValueFactory = _ => "Q4_0", Description = $"The format of the matrices: {string.Join(", ", GgufWriter.Formats)}.",
        };
        var random = new Option<bool>("--random")
        {
            Description = "Write random weights, which take room on the disk; holes are read as zeros, and take the same memory.",
        };
        var blocks = PositiveOption.Create("--double", 19, "Double blocks.");
        var singles = PositiveOption.Create("--single", 38, "Single blocks.");
        var side = PositiveOption.Create("--side", 256, "Height and width in pixels.");
        var planned = PositiveOption.Create("--planned-side", 1024, "Height and width for a second plan.");
        var steps = PositiveOption.Create("--steps", 1, "Denoising steps.");
        var tokens = PositiveOption.Create("--tokens", 256, "Text tokens.");
        var stream = new Option<bool>("--stream") { Description = "Give the pages of a block back when it has run." };
        var timing = new TimingOptions();
        var command = new Command(
            "flux-gguf", "An image by FLUX.1 schnell with weights in GGUF files of full size: peak memory, its plan, time.")
        {
            folder, format, random, blocks, singles, side, planned, steps, tokens, stream,
        };
        timing.AddTo(command);
        command.SetAction(parsed =>
        {
            timing.SetThreads(parsed);
            using var temporary = parsed.GetValue(folder) is null ? new TemporaryFolder() : null;
            var path = parsed.GetValue(folder)?.FullName ?? temporary!.Path;
            var transformer = new FluxTransformer2DConfig
            {
                NumLayers = parsed.GetValue(blocks), NumSingleLayers = parsed.GetValue(singles), GuidanceEmbeds = false,
            };
            var parameters = WriteOnce(path, new GgufWriter(parsed.GetValue(format)!, parsed.GetValue(random)), transformer);
            var options = new PipelineOptions
            {
                Device = "cpu",
                TextEncoder = Path.Combine(path, "clip_l.gguf"),
                TextEncoder2 = Path.Combine(path, "t5.gguf"),
                Vae = Path.Combine(path, "ae.gguf"),
                StreamBlocks = parsed.GetValue(stream),
                ChecksMemory = false,
            };
            using var pipeline = FluxPipeline.Load(Path.Combine(path, "flux.gguf"), options);
            var request = new FluxRequest
            {
                Prompts = ["a red fox in the snow"], Height = parsed.GetValue(side), Width = parsed.GetValue(side), Seed = 1,
                Steps = parsed.GetValue(steps), MaxSequenceLength = parsed.GetValue(tokens),
            };
            var (loaded, larger) = (ResidentMb(), parsed.GetValue(planned));
            var report = timing.Run(parsed, () => pipeline.Generate(request).Dispose());
            report["what"] = "flux-gguf";
            report["format"] = parsed.GetValue(format);
            report["params"] = parameters;
            report["files_mb"] = Directory.EnumerateFiles(path).Sum(file => new FileInfo(file).Length) / 1048576.0;
            report["loaded_rss_mb"] = loaded;
            report["planned_mb"] = pipeline.PlanMemory(request).PeakBytes / 1048576.0;
            var plan = pipeline.PlanMemory(request with { Height = larger, Width = larger, Steps = 4, MaxSequenceLength = null });
            report["planned_larger_mb"] = plan.PeakBytes / 1048576.0;
            report["weights_mb"] = new JsonObject(plan.Weights.Select(part =>
                KeyValuePair.Create(part.Part, (JsonNode?)(part.Bytes / 1048576.0))));
            Console.WriteLine(report.ToJsonString());
        });
        return command;
    }

    private static double ResidentMb()
    {
        using var process = Process.GetCurrentProcess();
        return process.WorkingSet64 / 1048576.0;
    }

    /// <summary>Writes the files that are not there.</summary>
    /// <returns>The parameters of the transformer.</returns>
    private static long WriteOnce(string folder, GgufWriter writer, FluxTransformer2DConfig config)
    {
        Directory.CreateDirectory(folder);
        using var transformer = new FluxTransformer2DModel(config);
        using var t5 = new T5EncoderModel(T5);
        using var clip = new CLIPTextModel(Clip);
        using var vae = new AutoencoderKL(Vae);
        var halves = new GgufWriter("F16", random: false);
        foreach (var (name, model, own) in new (string, nn.Module, GgufWriter)[]
        {
            ("flux.gguf", transformer, writer), ("t5.gguf", t5, writer), ("clip_l.gguf", clip, halves), ("ae.gguf", vae, halves),
        })
        {
            if (Path.Combine(folder, name) is var path && !File.Exists(path))
            {
                own.Write(model, path);
            }
        }

        return CheckpointShapes.Of(transformer).ElementCount;
    }
}
