using System.CommandLine;
using System.Globalization;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using StorySync.Diffusion.Weights;
using StorySync.Documents;
using StorySync.Hub;
using StorySync.Samples;
using TorchSharp;

namespace StorySync.Tool;

/// <summary>Says what the machine has, and what is amiss.</summary>
internal static class DoctorCommand
{
    public static Command Create(Option<bool> json)
    {
        var command = new Command("doctor", "Check .NET, libtorch, devices, memory and models, and say what to do.");
        command.Does(json, "the check is not complete.", (_, results, _, _) =>
        {
            var findings = Findings().ToList();
            results.Write(findings, console =>
            {
                foreach (var finding in findings)
                {
                    console.WriteLine($"{(finding.IsFine ? "ok  " : "look")} {finding.Name}: {finding.Found}");
                    if (finding.Advice is not null)
                    {
                        console.WriteLine($"     → {finding.Advice}");
                    }
                }
            });
            return findings.All(finding => finding.IsFine) ? Task.CompletedTask : throw new UserErrorException(
                $"{English.Count(findings.Count(finding => !finding.IsFine), "finding")} to look at.");
        });
        return command;
    }

    private static IEnumerable<Finding> Findings()
    {
        var system = RuntimeInformation.RuntimeIdentifier;
        var isKnown = RuntimeInformation.OSArchitecture == (OperatingSystem.IsMacOS() ? Architecture.Arm64 : Architecture.X64);
        yield return new(".NET", $"{RuntimeInformation.FrameworkDescription} on {RuntimeInformation.OSDescription} ({system})", isKnown,
            isKnown ? null : "libtorch comes for Linux x64, Windows x64 and macOS on Apple silicon.");

        var libtorch = Libtorch();
        yield return libtorch;
        if (libtorch.IsFine)
        {
            yield return Device();
            var processors = English.Count(Environment.ProcessorCount, "processor");
            yield return new("threads", $"{torch.get_num_threads()} of libtorch's on {processors}", true);
        }

        yield return Kernels();
        var memory = GC.GetGCMemoryInfo();
        yield return new("memory", string.Create(CultureInfo.InvariantCulture,
            $"{memory.TotalAvailableMemoryBytes / 1e9:f1} GB, {memory.MemoryLoadBytes / 1e9:f1} GB in use"), true,
            "storysync plan says what a story takes.");
        foreach (var finding in Models())
        {
            yield return finding;
        }
    }

    private static Finding Libtorch()
    {
        try
        {
            using var one = torch.ones(1);
            return new("libtorch", $"{torch.__version__}", one.sum().ToSingle() == 1);
        }
        catch (Exception exception)
        {
            // Whatever keeps a native library from loading: what it says is the finding.
            return new("libtorch", English.OneLine(exception.GetBaseException().Message), false,
                "Add a TorchSharp backend: TorchSharp-cpu, TorchSharp-cuda-linux or TorchSharp-cuda-windows.");
        }
    }

    private static Finding Device()
    {
        if (torch.cuda.is_available())
        {
            return new("device", English.Count(torch.cuda.device_count(), "CUDA device"), true);
        }

        var hasDriver = NativeLibrary.TryLoad(OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1", out _);
        return hasDriver
            ? new("device", "the CPU, though there is an NVIDIA driver", false,
                "Build with -p:TorchBackend=cuda-linux or cuda-windows to use the GPU.")
            : new("device", "the CPU", true);
    }

    private static Finding Kernels()
    {
        var bits = Vector512.IsHardwareAccelerated ? 512 : Vector.IsHardwareAccelerated ? Vector<byte>.Count * 8 : 0;
        var isChecked = Environment.GetEnvironmentVariable("STORYSYNC_CHECKED") == "1";
        return (bits, isChecked) switch
        {
            (0, _) => new("kernels", "libtorch's: no vector instructions", true),
            (_, true) => new("kernels", $"of {bits} bits, with each access checked", false, "Unset STORYSYNC_CHECKED: it makes them slow."),
            _ => new("kernels", $"of {bits} bits, on the CPU in float32", true),
        };
    }

    private static IEnumerable<Finding> Models()
    {
        var hasOwn = File.Exists(Path.Combine(AppContext.BaseDirectory, "models", "storybook", "model_index.json"));
        yield return new("embedded model", hasOwn ? "storybook" : "none", hasOwn,
            hasOwn ? null : "Add the package StorySync.Models.Storybook, or give --model.");

        var hub = new ModelHubOptions();
        var free = Directory.Exists(hub.CacheFolder) ? string.Create(CultureInfo.InvariantCulture,
            $", {new DriveInfo(Path.GetFullPath(hub.CacheFolder)).AvailableFreeSpace / 1e9:f1} GB free") : ", which is not there yet";
        yield return new("Hugging Face cache", $"{hub.CacheFolder}{free}{(hub.IsOffline ? "; HF_HUB_OFFLINE is set" : "")}"
            + $"{(hub.Token is null ? "; no token" : "; with a token")}", true, "storysync pull organisation/name downloads a model.");
        if (!Directory.Exists(hub.CacheFolder))
        {
            yield break;
        }

        foreach (var folder in Directory.EnumerateDirectories(hub.CacheFolder, "models--*").Order(StringComparer.Ordinal))
        {
            var name = Path.GetFileName(folder)["models--".Length..].Replace("--", "/", StringComparison.Ordinal);
            yield return Model(name);
        }
    }

    private static Finding Model(string name)
    {
        try
        {
            var model = ModelFolder.Open(name);
            return new($"model {name}", model.ClassName ?? "one component", true);
        }
        catch (ModelFileException exception)
        {
            return new($"model {name}", exception.Message, false, $"storysync pull {name}");
        }
    }

    /// <summary>One thing that was looked at.</summary>
    private sealed record Finding(string Name, string Found, bool IsFine, string? Advice = null);
}
