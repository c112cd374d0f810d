using System.Runtime.InteropServices;
using TorchSharp;

namespace StorySync.Kernels;

/// <summary>Says which package to add when no libtorch can be loaded.</summary>
internal static class MissingBackend
{
    /// <summary>Has TorchSharp's first call into its native library throw an exception that says what to do.</summary>
    /// <remarks>TorchSharp swallows what is thrown while it looks for the library, then copies half a gigabyte from the NuGet cache into
    /// the program's folder if it can, or else prints and throws a trace of all it has tried, with the name of a package for another
    /// device. So the search ends here with a handle to nothing, and the resolver of the first call throws.</remarks>
    /// <returns>The handle to end the search with; 0 to let TorchSharp go on, in a script or notebook that runs out of the NuGet cache
    /// and in a program with a resolver of its own.</returns>
    public static nint Throw(string library)
    {
        if (RunsOutOfPackage(typeof(torch).Assembly.Location))
        {
            return 0;
        }

        var message = Message(NativeBackend.TryLoad("torch_cpu"), RuntimeInformation.RuntimeIdentifier);
        try
        {
            NativeLibrary.SetDllImportResolver(
                typeof(torch).Assembly,
                (name, _, _) => name == library ? throw new DllNotFoundException(message) : 0);
        }
        catch (InvalidOperationException)
        {
            return 0;
        }

        return NativeLibrary.GetMainProgramHandle();
    }

    internal static string Message(bool hasLibtorch, string system) => hasLibtorch
        ? $"libtorch loads on this system ({system}), but TorchSharp's own native library, LibTorchSharp, does not. It is part of the "
            + "TorchSharp package; the versions of TorchSharp and of its backend package must be the same, and on Linux the system needs "
            + "glibc 2.34 and libstdc++ 12 (GLIBCXX_3.4.30) or later."
        : $"No libtorch could be loaded on this system ({system}). Add one backend package to the program's project: TorchSharp-cpu "
            + "for any processor, TorchSharp-cuda-linux or TorchSharp-cuda-windows for an NVIDIA GPU. The StorySync package brings "
            + "TorchSharp-cpu with it.";

    // In the NuGet cache TorchSharp.dll lies in lib/<framework> below its package's nuspec.
    internal static bool RunsOutOfPackage(string assembly) =>
        assembly.Length > 0 && File.Exists(Path.Combine(Path.GetDirectoryName(assembly)!, "..", "..", "torchsharp.nuspec"));
}
