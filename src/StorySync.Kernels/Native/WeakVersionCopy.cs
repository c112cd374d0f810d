using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;
using TorchSharp;

namespace StorySync.Kernels;

/// <summary>Loads a copy of TorchSharp's native library that asks a little less of the system's libstdc++.</summary>
/// <remarks>The stock <c>libLibTorchSharp.so</c> asks for the symbol version GLIBCXX_3.4.32, but only through a symbol that none of its
/// relocations uses. Marked as weak, the version no longer keeps the loader from going on. The copy lives in memory alone.</remarks>
internal static partial class WeakVersionCopy
{
    private const string Version = "GLIBCXX_3.4.32";
    private const uint CloseOnExecute = 1;

    /// <summary>Returns the handle of the loaded copy; 0 if there is nothing to copy or the system refuses the copy too.</summary>
    [SupportedOSPlatform("linux")]
    public static nint Load(string library)
    {
        var file = $"lib{library}.so";
        var path = Folders().Select(folder => Path.Combine(folder, file)).FirstOrDefault(File.Exists);
        if (path is null)
        {
            return 0;
        }

        var image = File.ReadAllBytes(path);
        if (!ElfVersionNeeds.TryWeaken(image, Version))
        {
            return 0;
        }

        // A copy in memory has no folder to find its neighbors in: the loader takes those that are there already, by name.
        foreach (var neighbor in (string[])["c10", "torch_cpu", "torch"])
        {
            NativeBackend.TryLoad(neighbor);
        }

        using var memory = new SafeFileHandle(CreateMemoryFile(file, CloseOnExecute), ownsHandle: true);
        if (memory.IsInvalid)
        {
            return 0;
        }

        RandomAccess.Write(memory, image, 0);
        return NativeLibrary.TryLoad($"/proc/self/fd/{memory.DangerousGetHandle()}", out var handle) ? handle : 0;
    }

    /// <summary>Where native libraries lie: the runtime's own list, a published or built program, a NuGet package.</summary>
    internal static IEnumerable<string> Folders()
    {
        const string Runtime = "runtimes/linux-x64/native";
        var listed = AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string ?? "";
        foreach (var folder in listed.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries))
        {
            yield return folder;
        }

        yield return AppContext.BaseDirectory;
        yield return Path.Combine(AppContext.BaseDirectory, Runtime);
        if (Path.GetDirectoryName(typeof(torch).Assembly.Location) is { Length: > 0 } managed)
        {
            yield return managed;
            yield return Path.Combine(managed, Runtime);
            yield return Path.Combine(managed, "..", "..", Runtime);
        }
    }

    [LibraryImport("libc", EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint CreateMemoryFile(string name, uint flags);
}
