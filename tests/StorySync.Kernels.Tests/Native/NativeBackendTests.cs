using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using TorchSharp;

namespace StorySync.Kernels.Tests;

public class NativeBackendTests
{
    [Fact]
    public void Libtorch_loads_and_multiplies()
    {
        using var scope = torch.NewDisposeScope();
        var product = torch.ones(2, 3).matmul(torch.ones(3, 4));
        Assert.Equal(24f, product.sum().item<float>());
    }

    [Fact]
    public void A_copy_runs_only_where_the_stock_library_does_not_load()
    {
        _ = torch.get_default_dtype();
        var stockLoads = !OperatingSystem.IsLinux() || NativeLibrary.TryLoad(StockLibrary(), out _);
        Assert.Equal(!stockLoads, NativeBackend.RunsOnCopy);
        if (OperatingSystem.IsLinux())
        {
            Assert.Equal(!stockLoads, File.ReadAllText("/proc/self/maps").Contains("/memfd:libLibTorchSharp.so"));
        }
    }

    [Fact]
    public void It_is_registered_once_however_often_it_is_called()
    {
        NativeBackend.Register();
        NativeBackend.Register();

        var context = AssemblyLoadContext.GetLoadContext(typeof(torch).Assembly);
        var handlers = typeof(AssemblyLoadContext).GetField("_resolvingUnmanagedDll", BindingFlags.Instance | BindingFlags.NonPublic);
        Assert.SkipWhen(handlers is null, "This runtime keeps the handlers of its load contexts elsewhere.");
        var all = ((Delegate?)handlers.GetValue(context))?.GetInvocationList().OfType<Func<Assembly, string, nint>>() ?? [];
        var own = typeof(NativeBackend).FullName!;
        var resolve = Assert.Single(
            all, handler => handler.Method.DeclaringType!.FullName!.StartsWith(own, StringComparison.Ordinal));
        Assert.Equal(0, resolve(typeof(torch).Assembly, "a library that is not TorchSharp's"));
    }

    [Fact]
    public void Without_libtorch_the_message_names_every_backend_package()
    {
        var message = MissingBackend.Message(hasLibtorch: false, "linux-x64");
        Assert.All(
            ["linux-x64", "TorchSharp-cpu", "TorchSharp-cuda-linux", "TorchSharp-cuda-windows", "StorySync package"],
            part => Assert.Contains(part, message));
    }

    [Fact]
    public void A_program_does_not_run_out_of_a_package_but_a_script_does()
    {
        Assert.False(MissingBackend.RunsOutOfPackage(typeof(torch).Assembly.Location));
        Assert.False(MissingBackend.RunsOutOfPackage(""));

        var package = Directory.CreateTempSubdirectory();
        try
        {
            File.WriteAllText(Path.Combine(package.FullName, "torchsharp.nuspec"), "<package/>");
            var library = package.CreateSubdirectory("lib").CreateSubdirectory("net8.0");
            Assert.True(MissingBackend.RunsOutOfPackage(Path.Combine(library.FullName, "TorchSharp.dll")));
        }
        finally
        {
            package.Delete(recursive: true);
        }
    }

    internal static string StockLibrary()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The library under test is Linux's.");
        return WeakVersionCopy.Folders().Select(folder => Path.Combine(folder, "libLibTorchSharp.so")).First(File.Exists);
    }
}
