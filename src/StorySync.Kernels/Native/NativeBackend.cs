using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using StorySync.Kernels;
using TorchSharp;

namespace StorySync;

/// <summary>Controls what happens when the runtime fails to load TorchSharp's native library: on Linux systems whose libstdc++ is older
/// than the one it was linked with (Debian 12, Ubuntu 22.04) a copy that they accept is loaded, and where there is no libtorch at all the
/// exception says which package to add.</summary>
/// <remarks>Where the stock library loads, no copy is made, and nothing on disk is ever touched. On Linux libtorch is asked to use large
/// pages for large tensors, unless the environment variable <c>THP_MEM_ALLOC_ENABLE</c> is set already.</remarks>
public static class NativeBackend
{
    private const string Library = "LibTorchSharp";
    private static readonly Lazy<nint> Handle = new(Load);
    private static int registered;

    /// <summary>Registers the fallback for the load context that TorchSharp lives in. Calling it again does nothing.</summary>
    /// <remarks>C# programs that add the package call it before <c>Main</c>, and every assembly of StorySync calls it when it is first
    /// used. Call it yourself only in a program in another language that uses TorchSharp before anything of StorySync's.</remarks>
    [ModuleInitializer]
    [SuppressMessage("Usage", "CA2255", Justification = "A user should not have to know that there is anything to register.")]
    public static void Register()
    {
        if (Interlocked.Exchange(ref registered, 1) == 0)
        {
            LargePages.Request();
            var context = AssemblyLoadContext.GetLoadContext(typeof(torch).Assembly) ?? AssemblyLoadContext.Default;
            context.ResolvingUnmanagedDll += (_, name) => name == Library ? Handle.Value : 0;
        }
    }

    /// <summary>Whether this process runs on a copy of the native library because the stock one did not load.</summary>
    internal static bool RunsOnCopy => Handle.IsValueCreated && Handle.Value != 0;

    /// <summary>Loads one of TorchSharp's native libraries the way TorchSharp itself does.</summary>
    internal static bool TryLoad(string name) => NativeLibrary.TryLoad(name, typeof(torch).Assembly, null, out _);

    private static nint Load()
    {
        var copy = OperatingSystem.IsLinux() ? WeakVersionCopy.Load(Library) : 0;
        return copy != 0 ? copy : MissingBackend.Throw(Library);
    }
}
