using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using Microsoft.Win32.SafeHandles;
using TorchSharp;

namespace StorySync.Attention.Native;

/// <summary>Makes TorchSharp's native library load on Linux systems whose libstdc++ is older than the one it was linked with
/// (Debian 12, Ubuntu 22.04).</summary>
/// <remarks>
/// The stock <c>libLibTorchSharp.so</c> asks for the symbol version GLIBCXX_3.4.32, but only through a symbol that none of its
/// relocations uses. Marking that version as weak lets the loader go on without it. The mark is set on a copy in memory, and only
/// after the runtime has failed to load the stock file: nothing on disk is touched, and where the stock library loads, on Windows
/// and on macOS, nothing happens at all.
/// </remarks>
public static partial class NativeBackend
{
    private const string Library = "LibTorchSharp";
    private static int registered;

    /// <summary>Registers the fallback for the load context that TorchSharp lives in. Calling it again does nothing. It runs by
    /// itself when an assembly of StorySync is first used; call it before TorchSharp's first use in a program that uses TorchSharp
    /// before anything of StorySync's.</summary>
    [ModuleInitializer]
    [SuppressMessage("Usage", "CA2255", Justification = "A user should not have to know that there is anything to register.")]
    public static void Register()
    {
        if (OperatingSystem.IsLinux() && Interlocked.Exchange(ref registered, 1) == 0)
        {
            var context = AssemblyLoadContext.GetLoadContext(typeof(torch).Assembly) ?? AssemblyLoadContext.Default;
            context.ResolvingUnmanagedDll += (_, name) => name == Library ? LoadWithWeakVersion() : 0;
        }
    }

    private static nint LoadWithWeakVersion()
    {
        var path = Find();
        if (path is null)
        {
            return 0;
        }

        var image = File.ReadAllBytes(path);
        if (!ElfVersionNeeds.TryWeaken(image, "GLIBCXX_3.4.32"))
        {
            return 0;
        }

        // The copy in memory has no folder, so its neighbours have to be there before it asks for them by name.
        var folder = Path.GetDirectoryName(path)!;
        foreach (var neighbour in (string[])["libc10.so", "libtorch_cpu.so", "libtorch.so"])
        {
            NativeLibrary.TryLoad(Path.Combine(folder, neighbour), out _);
        }

        using var file = new SafeFileHandle(CreateMemoryFile("lib" + Library + ".so", flags: 1), ownsHandle: true);
        if (file.IsInvalid)
        {
            return 0;
        }

        RandomAccess.Write(file, image, 0);
        return NativeLibrary.TryLoad($"/proc/self/fd/{file.DangerousGetHandle()}", out var handle) ? handle : 0;
    }

    private static string? Find()
    {
        var searched = (AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string ?? "").Split(Path.PathSeparator);
        var local = AppContext.BaseDirectory;
        return searched
            .Append(local)
            .Append(Path.Combine(local, "runtimes", "linux-x64", "native"))
            .Where(folder => folder.Length > 0)
            .Select(folder => Path.Combine(folder, "lib" + Library + ".so"))
            .FirstOrDefault(File.Exists);
    }

    [LibraryImport("libc", EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint CreateMemoryFile(string name, uint flags);
}
