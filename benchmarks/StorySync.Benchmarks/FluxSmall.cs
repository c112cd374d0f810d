using System.CommandLine;
using System.Text.Json.Nodes;
using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Flux;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Benchmarks;

/// <summary>One forward pass of a FLUX transformer of real width, with 2 + 4 of its 19 + 38 blocks and random weights.</summary>
internal static class FluxSmall
{
    private static readonly FluxTransformer2DConfig Config = new() { NumLayers = 2, NumSingleLayers = 4 };

    public static Command Command()
    {
        var folder = new Option<DirectoryInfo?>("--folder")
        {
            Description =
                "Where the model is, or is to be written for other programs to read; without it a streamed model is written for the run "
                    + "only, another one has random weights without a file.",
        };
        var height = PositiveOption.Create("--height", 512, "Pixels.");
        var width = PositiveOption.Create("--width", 512, "Pixels.");
        var batch = PositiveOption.Create("--batch", 1, "Rows.");
        var tokens = PositiveOption.Create("--tokens", 77, "Text tokens.");
        var dtype = new Option<ScalarType>("--dtype") { DefaultValueFactory = _ =>
            ScalarType.Float32, Description = "The type to compute in." };
        var stored =
            new Option<ScalarType?>("--stored") { Description = "The type that a model is written in; by default that of --dtype." };
        var stream = new Option<bool>("--stream") { Description = "Hold the weights of one block at a time." };
        var timing = new TimingOptions();
        var command = new Command("flux-small",
            "A forward pass of FLUX at real width with fewer blocks, whole or with one block's weights in memory.")
        {
            folder, height, width, batch, tokens, dtype, stored, stream,
        };
        timing.AddTo(command);
        command.SetAction(parsed =>
        {
            using var inference = inference_mode();
            var type = parsed.GetValue(dtype);
            timing.SetThreads(parsed);
            var fromFile = parsed.GetValue(stream) || parsed.GetValue(folder) is not null || parsed.GetValue(stored) is not null;
            using var temporary = fromFile && parsed.GetValue(folder) is null ? new TemporaryFolder() : null;
            using var model = fromFile
                ? Load(parsed.GetValue(folder)?.FullName ?? temporary!.Path, type, parsed.GetValue(stored) ?? type, parsed.GetValue(stream))
                : RandomWeights.Bind(new FluxTransformer2DModel(Config), type);
            using var scope = NewDisposeScope();
            var inputs = Inputs(
                model,
                FluxLatents.Grid(parsed.GetValue(height) / 8, parsed.GetValue(width) / 8),
                parsed.GetValue(batch),
                parsed.GetValue(tokens),
                type);
            var report = timing.Run(parsed, () => model.call(inputs, new DenoisingContext()).Dispose());
            report["what"] = "flux-small";
            report["params"] = CheckpointShapes.Of(model).ElementCount;
            report["shape"] = new JsonArray(parsed.GetValue(batch), parsed.GetValue(height), parsed.GetValue(width));
            report["dtype"] = type.ToString();
            report["streamed"] = parsed.GetValue(stream);
            Console.WriteLine(report.ToJsonString());
        });
        return command;
    }

    private static FluxTransformer2DModel Load(string folder, ScalarType type, ScalarType stored, bool stream)
    {
        using (var written = new FluxTransformer2DModel(Config))
        {
            WrittenModel.Once(folder, "transformer", written, Config, stored);
        }

        return FluxTransformer2DModel.Load(ModelFolder.Open(folder), dtype: type, streamBlocks: stream);
    }

    private static FluxInputs Inputs(FluxTransformer2DModel model, TokenGrid grid, int batch, int tokens, ScalarType dtype) => new(
        randn(batch, grid.Tokens, model.Config.InChannels).to(dtype),
        grid,
        randn(batch, tokens, model.Config.JointAttentionDim).to(dtype),
        randn(batch, model.Config.PooledProjectionDim).to(dtype),
        tensor(0.5f).expand(batch),
        model.EmbedPositions(FluxLatents.TextIds(tokens), FluxLatents.ImageIds(grid)));
}
