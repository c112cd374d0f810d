using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>How a model is loaded and run.</summary>
public sealed record PipelineOptions
{
    /// <summary><c>auto</c> (a CUDA device if there is one, else the CPU), <c>cpu</c>, <c>cuda</c> or <c>cuda:1</c>.</summary>
    public string Device { get; init; } = "auto";

    /// <summary>The type to compute in: float32, bfloat16 or float16. The CPU is slow in the latter two.</summary>
    public ScalarType Dtype { get; init; } = ScalarType.Float32;

    /// <summary>The variant of the weight files to prefer, such as <c>fp16</c>.</summary>
    public string? Variant { get; init; }

    /// <summary>Whether large pictures are decoded tile by tile: less memory, slightly other pixels.</summary>
    public bool TiledDecoding { get; init; }

    /// <summary>Whether FLUX's blocks stay in their mapped file and each is brought to the device only while it runs: slower, but needs
    /// room for one block instead of the model.</summary>
    public bool StreamBlocks { get; init; }

    /// <summary>Whether a part of the model is on the device only while it works: text encoders, denoiser and autoencoder one after
    /// the other. Less memory on the device, some time for moving.</summary>
    public bool Offload { get; init; }

    /// <summary>The device that <see cref="Device"/> means on this machine.</summary>
    /// <exception cref="ArgumentException">The device or type is none of those above, or the machine has no such device.</exception>
    public Device ResolveDevice()
    {
        if (Dtype is not (ScalarType.Float32 or ScalarType.BFloat16 or ScalarType.Float16))
        {
            throw new ArgumentException($"Dtype is {Dtype}; expected Float32, BFloat16 or Float16.");
        }

        var (kind, index) = Device.Split(':') switch
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
                $"Device is '{Device}', but TorchSharp sees {(cuda.is_available() ? $"{cuda.device_count()} CUDA devices" : "no CUDA device")}. "
                + "A CUDA backend (TorchSharp-cuda-linux or TorchSharp-cuda-windows) and a driver are needed.");
    }
}
