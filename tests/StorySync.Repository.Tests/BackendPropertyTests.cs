using System.Text.Json;

namespace StorySync.Repository.Tests;

/// <summary>The property TorchBackend, by evaluation: no package has to be restored for it.</summary>
public class BackendPropertyTests
{
    private const string Program = "tests/StorySync.Repository.Tests/StorySync.Repository.Tests.csproj";
    private const string Library = "src/StorySync.Pipelines/StorySync.Pipelines.csproj";

    [Theory]
    [InlineData(null, "TorchSharp-cpu")]
    [InlineData("cpu", "TorchSharp-cpu")]
    [InlineData("cuda-linux", "TorchSharp-cuda-linux")]
    [InlineData("cuda-windows", "TorchSharp-cuda-windows")]
    [InlineData("none")]
    public async Task It_chooses_the_backend_package_of_a_program(string? backend, params string[] packages) =>
        Assert.Equal(packages, await BackendsOf(Program, backend));

    [Fact]
    public async Task It_gives_none_to_a_library() => Assert.Empty(await BackendsOf(Library, "cpu"));

    [Fact]
    public async Task An_unknown_value_is_refused_with_those_that_are_known()
    {
        var (code, output) =
            await Repository.Run("dotnet", "msbuild", Program, "-t:CollectPackageReferences", "-p:TorchBackend=rocm", "-nologo");
        Assert.NotEqual(0, code);
        Assert.Contains("TorchBackend is 'rocm'; it must be cpu, cuda-linux, cuda-windows or none.", output);
    }

    private static async Task<string[]> BackendsOf(string project, string? backend)
    {
        string[] property = backend is null ? [] : [$"-p:TorchBackend={backend}"];
        var (code, output) = await Repository.Run("dotnet", ["msbuild", project, "-getItem:PackageReference", .. property]);
        Assert.True(code == 0, output);
        using var answer = JsonDocument.Parse(output);
        return [.. answer.RootElement.GetProperty("Items").GetProperty("PackageReference").EnumerateArray()
            .Select(item => item.GetProperty("Identity").GetString()!)
            .Where(name => name.StartsWith("TorchSharp-", StringComparison.Ordinal))];
    }
}
