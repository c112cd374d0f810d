using System.CommandLine;
using StorySync.Pipelines;
using TorchSharp;

namespace StorySync.Samples;

/// <summary>The options that say which model runs, and how.</summary>
internal sealed class ModelOptions
{
    private readonly Option<string> model = CommandLine.Name(
        "--model", "A model folder in diffusers' layout, organisation/name in the Hugging Face cache, or a model that comes with the program.",
            "storybook", "-m");

    private readonly Option<string> device = CommandLine.Device("--device");

    private readonly Option<string> dtype =
        CommandLine.Choice("--dtype", "Data type of the computation.", "float32", "bfloat16", "float16");

    private readonly Option<string> quantization = CommandLine.Choice(
        "--quantization", "Round the weights to 8 bits when they are loaded: a quarter of the memory, other images.", "none", "int8");

    private readonly Option<string> variant = CommandLine.Name("--variant", "Preferred variant of the weight files, such as fp16.");

    private readonly Option<bool> tiledDecoding =
        new("--tiled-decoding") { Description = "Decode each image in tiles: less memory, slightly different pixels." };

    private readonly Option<bool> streamBlocks =
        new("--stream-blocks") { Description = "Keep one block of FLUX on the device at a time: less memory, slower." };

    private readonly Option<bool> offload =
        new("--offload") { Description = "Keep a component on the device only while it is used: less device memory, slower." };

    private readonly Option<string[]> loras = CommandLine.Repeated(
        "--lora", "A LoRA file, or FILE=SCALE, where 1 is as it was trained; repeat the option for several.");

    private readonly Option<string[]> textualInversions = CommandLine.Repeated(
        "--textual-inversion", "On SDXL, a file of a textual inversion, whose word in prompts is the file's name; repeat the option for "
            + "several.");

    private readonly Option<bool> noMemoryCheck =
        new("--no-memory-check") { Description = "Begin even if the images do not fit into memory." };

    public IEnumerable<Option> All =>
        [model, device, dtype, quantization, variant, tiledDecoding, streamBlocks, offload, loras, textualInversions, noMemoryCheck];

    /// <summary>The options that change pixels, for an image that is made again.</summary>
    public IEnumerable<Option> Settled => [dtype, quantization, tiledDecoding];

    public string NameOf(ParseResult parsed) => parsed.GetValue(model)!;

    /// <summary>The model that the user names; null for none.</summary>
    public string? GivenNameOf(ParseResult parsed) => parsed.IsGiven(model) ? NameOf(parsed) : null;

    /// <exception cref="UserErrorException">The machine has no such device.</exception>
    public PipelineOptions Of(ParseResult parsed) => new()
    {
        Device = CheckedDevice(parsed.GetValue(device)!),
        Dtype = Enum.Parse<torch.ScalarType>(parsed.GetValue(dtype)!, ignoreCase: true),
        Quantization = Enum.Parse<WeightQuantization>(parsed.GetValue(quantization)!, ignoreCase: true),
        Variant = parsed.GetValue(variant),
        TiledDecoding = parsed.GetValue(tiledDecoding),
        StreamBlocks = parsed.GetValue(streamBlocks),
        Offload = parsed.GetValue(offload),
        ChecksMemory = !parsed.GetValue(noMemoryCheck),
    };

    /// <summary>What is put on the model.</summary>
    public ModelAdditions AdditionsOf(ParseResult parsed, SamplingOptions sampling) => new(
        parsed.GetValue(loras) ?? [],
        parsed.GetValue(textualInversions) ?? [],
        sampling.ForSdxl.Append(textualInversions).FirstOrDefault(parsed.IsGiven)?.Name);

    /// <summary>Loads the model and says so first: reading gigabytes can take a while.</summary>
    public static async Task<DiffusionPipeline> LoadAsync(
        string model, PipelineOptions options, ModelAdditions additions, TextWriter error, CancellationToken cancellationToken)
    {
        await error.WriteLineAsync($"Loading {model} …");
        var pipeline = await DiffusionPipeline.LoadAsync(model, options, cancellationToken: cancellationToken);
        try
        {
            additions.AddTo(pipeline);
            return pipeline;
        }
        catch
        {
            pipeline.Dispose();
            throw;
        }
    }

    private static string CheckedDevice(string name)
    {
        try
        {
            _ = new PipelineOptions { Device = name }.ResolveDevice();
            return name;
        }
        catch (ArgumentException exception)
        {
            throw new UserErrorException(
                $"--device is '{name}', which this machine does not have; a CUDA device needs a driver and a build with "
                    + $"-p:TorchBackend=cuda-linux or cuda-windows.",
                exception);
        }
    }
}
