using System.Text.Json.Serialization;
using Microsoft.Extensions.Logging;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Specifies how a model is loaded and run.</summary>
public sealed record PipelineOptions
{
    /// <summary>Gets the device: <c>auto</c> (default; a CUDA device if there is one, else the CPU), <c>cpu</c>, <c>cuda</c> or
    /// <c>cuda:1</c>.</summary>
    public string Device { get; init; } = "auto";

    /// <summary>Gets the type to compute in: float32 (default), bfloat16 or float16. The CPU is slow in the latter two. In JSON it is a
    /// text.</summary>
    [JsonConverter(typeof(JsonStringEnumConverter<ScalarType>))]
    public ScalarType Dtype { get; init; } = ScalarType.Float32;

    /// <summary>Gets the variant of the weight files to prefer, such as <c>fp16</c>; null (default) for the plain ones.</summary>
    public string? Variant { get; init; }

    /// <summary>Gets a value indicating whether large images are decoded tile by tile: less memory, slightly other pixels. Default
    /// false.</summary>
    public bool TiledDecoding { get; init; }

    /// <summary>Gets a value indicating whether FLUX's blocks stay in their mapped file and each is brought to the device only while it
    /// runs:
    /// slower, but needs room for one block instead of the model. Default false.</summary>
    public bool StreamBlocks { get; init; }

    /// <summary>Gets a value indicating whether a part of the model is on the device only while it works (model CPU offload): text
    /// encoders,
    /// denoiser and autoencoder one after the other. Less memory on the device, some time for moving. Default false.</summary>
    public bool Offload { get; init; }

    /// <summary>Gets a value indicating whether weights are used where they are in their files, mapped into memory (default), which takes
    /// no memory of their own where the type is the file's. Such a file must not be written to while the model lives: a run then ends in a
    /// <see cref="StorySync.Diffusion.Weights.ModelFileException"/> before its next step, or, where a file is shortened within a step, the
    /// operating system ends the process. Choose false to read weights into memory instead, where files may change or lie on a network
    /// drive.</summary>
    public bool MapWeights { get; init; } = true;

    /// <summary>Gets how weights are rounded when the model is loaded, for less memory and approximate images. Has an effect where the
    /// CPU computes, and on the blocks that <see cref="StreamBlocks"/> brings to a device. Default
    /// <see cref="WeightQuantization.None"/>.</summary>
    public WeightQuantization Quantization { get; init; }

    /// <summary>Gets where the autoencoder comes from in place of the model's own, or where a single file lacks it: a file
    /// (<c>sdxl_vae.safetensors</c>, <c>ae.safetensors</c>), a folder with its <c>config.json</c>, or its name in the Hugging Face cache
    /// (<c>madebyollin/sdxl-vae-fp16-fix</c>); null (default) for the model's own. With a file the model's own config holds.</summary>
    public string? Vae { get; init; }

    /// <summary>Gets where the first text encoder comes from (<c>clip_l.safetensors</c>): see <see cref="Vae"/>.</summary>
    public string? TextEncoder { get; init; }

    /// <summary>Gets where the second text encoder comes from (<c>t5xxl_fp16.safetensors</c> for FLUX.1, <c>clip_g.safetensors</c> for
    /// SDXL): see <see cref="Vae"/>.</summary>
    public string? TextEncoder2 { get; init; }

    /// <summary>Gets the folder, in diffusers' layout, whose configs and vocabularies belong to a model that is a single file (diffusers'
    /// <c>config</c> of <c>from_single_file</c>); weights that the file lacks are taken from there as well. Null (default) for those of
    /// the published model. It has no effect on a model that is a folder.</summary>
    public string? Config { get; init; }

    /// <summary>Gets the scheduler, by its class in diffusers or as an object; null (default) for the one in the model's folder.</summary>
    public SchedulerChoice? Scheduler { get; init; }

    /// <summary>Gets a value indicating whether a generation that cannot fit into the memory there is, by
    /// <see cref="DiffusionPipeline.PlanMemory(GenerationRequest, PipelineOptions)"/>, is refused. Default true; false goes on
    /// regardless.</summary>
    public bool ChecksMemory { get; init; } = true;

    /// <summary>Gets a value indicating whether files of images contain their provenance: see
    /// <see cref="ImageProvenance"/>. Default true.</summary>
    public bool MarksImages { get; init; } = true;

    /// <summary>Gets the logger that warnings are written to as well; null (default) for none.</summary>
    [JsonIgnore]
    public ILogger? Logger { get; init; }

    /// <summary>Gets the components that come from elsewhere, by name.</summary>
    [JsonIgnore]
    internal IReadOnlyDictionary<string, string> Replacements => new (string Component, string? Source)[]
    {
        ("vae", Vae), ("text_encoder", TextEncoder), ("text_encoder_2", TextEncoder2),
    }.Where(part => part.Source is not null).ToDictionary(part => part.Component, part => part.Source!, StringComparer.Ordinal);

    /// <summary>Returns the name of the option that replaces a component.</summary>
    internal static string ReplacementOption(string component) =>
        component switch { "vae" => nameof(Vae), "text_encoder" => nameof(TextEncoder), _ => nameof(TextEncoder2) };

    /// <summary>Returns the device that <see cref="Device"/> means on this machine.</summary>
    /// <exception cref="ArgumentException">The device or type is none of those named, or the machine has no such device.</exception>
    public Device ResolveDevice()
    {
        if (Dtype is not (ScalarType.Float32 or ScalarType.BFloat16 or ScalarType.Float16))
        {
            throw new ArgumentException($"Dtype is {Dtype}; expected Float32, BFloat16 or Float16.");
        }

        // A text of JSON may say null.
        var (kind, index) = (Device ?? "").Split(':') switch
        {
            ["auto"] => (cuda.is_available() ? "cuda" : "cpu", -1),
            ["cpu"] => ("cpu", -1),
            ["cuda"] => ("cuda", 0),
            ["cuda", var number] when int.TryParse(number, out var n) && n >= 0 => ("cuda", n),
            _ => throw new ArgumentException($"Device is '{Device}'; expected auto, cpu, cuda or cuda:N."),
        };
        if (kind == "cpu")
        {
            return CPU;
        }

        return cuda.is_available() && Math.Max(index, 0) < cuda.device_count()
            ? torch.device(DeviceType.CUDA, Math.Max(index, 0))
            : throw new ArgumentException(
                $"Device is '{Device}', but TorchSharp sees "
                    + $"{(cuda.is_available() ? $"{cuda.device_count()} CUDA devices" : "no CUDA device")}. "
                + "A CUDA backend (TorchSharp-cuda-linux or TorchSharp-cuda-windows) and a driver are needed.");
    }
}
