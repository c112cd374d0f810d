using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>libtorch's own library, for what TorchSharp has no names for.</summary>
internal static class LibTorch
{
    private static readonly nint Handle = Load();

    /// <summary>Returns the address of an entry of libtorch, or of a library that it is linked with; 0 if there is none.</summary>
    public static nint Entry(string name) => Handle != 0 && NativeLibrary.TryGetExport(Handle, name, out var entry) ? entry : 0;

    private static nint Load()
    {
        // TorchSharp loads it when it is first used.
        NativeBackend.Register();
        empty(0).Dispose();
        var name = OperatingSystem.IsWindows() ? "torch_cpu.dll" : OperatingSystem.IsMacOS() ? "libtorch_cpu.dylib" : "libtorch_cpu.so";
        return NativeLibrary.TryLoad(name, out var handle) ? handle : 0;
    }
}
