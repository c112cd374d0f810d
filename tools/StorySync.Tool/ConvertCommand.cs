using System.CommandLine;
using StorySync.Documents;
using StorySync.Pipelines;
using StorySync.Samples;
using TorchSharp;

namespace StorySync.Tool;

/// <summary>Writes a model as a folder in diffusers' layout.</summary>
internal static class ConvertCommand
{
    private const string Stored = "stored";

    public static Command Create(Option<bool> json)
    {
        var model = new Argument<string>("model")
        {
            Description = "A single file of SDXL or FLUX.1 (safetensors, also in 8-bit floats, or GGUF), or a folder in diffusers' layout.",
        };
        var folder = new Argument<string>("folder") { Description = "The folder to write; it must not exist, or be empty." };
        var dtype = CommandLine.Choice(
            "--dtype", "The type of all weights; stored ones in 8 bits or fewer become bfloat16.",
            Stored, "float32", "bfloat16", "float16");
        var vae = CommandLine.Name("--vae", "A file or folder of the autoencoder, in place of the model's own.");
        var textEncoder = CommandLine.Name("--text-encoder", "A file or folder of the first text encoder.");
        var textEncoder2 = CommandLine.Name("--text-encoder-2", "A file or folder of the second text encoder.");
        var config = CommandLine.Name("--config", "A folder with the configs of a single file, in place of the published model's.");
        var variant = CommandLine.Name("--variant", "Preferred variant of a folder's weight files, such as fp16.");
        var shard = CommandLine.Number(
            "--shard-size", new NumberRange(0.00001, 1000), "The most gigabytes of weights in a file. [default: 10]");
        var command = new Command("convert", "Write a model as a folder in diffusers' layout, one tensor in memory at a time.")
        {
            model, folder, dtype, vae, textEncoder, textEncoder2, config, variant, shard,
        };
        command.Does(json, "nothing was written.", async (parsed, results, error, token) =>
        {
            var (source, target) = (parsed.GetValue(model)!, Path.GetFullPath(parsed.GetValue(folder)!));
            var type = parsed.GetValue(dtype);
            var options = new PipelineOptions
            {
                Vae = parsed.GetValue(vae),
                TextEncoder = parsed.GetValue(textEncoder),
                TextEncoder2 = parsed.GetValue(textEncoder2),
                Config = parsed.GetValue(config),
                Variant = parsed.GetValue(variant),
            };
            await Task.Run(
                () => ModelConversion.ToFolder(
                    source, target, type == Stored ? null : Enum.Parse<torch.ScalarType>(type!, ignoreCase: true), options,
                        parsed.GetValue(shard) is { } gigabytes ? (long)(gigabytes * 1e9) : ModelConversion.DefaultShardSize,
                        new Lines(error), token),
                token);
            var files = Directory.EnumerateFiles(target, "*", SearchOption.AllDirectories).Select(file => new FileInfo(file)).ToList();
            var bytes = files.Sum(file => file.Length);
            results.Write(
                new { Model = source, Folder = target, Files = files.Count, Bytes = bytes },
                console => console.WriteLine($"{target}: {English.Count(files.Count, "file")}, {ProcessMemory.Size(bytes)}"));
        });
        return command;
    }

    /// <summary>Writes a line for each part.</summary>
    private sealed class Lines(TextWriter error) : IProgress<LoadProgress>
    {
        public void Report(LoadProgress value) => error.WriteLine($"Writing {value.Part} …");
    }
}
