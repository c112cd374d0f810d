using System.Globalization;

namespace StorySync.Repository.Tests;

/// <summary>What building puts into the output folders.</summary>
public class OutputTests
{
    [Fact]
    public async Task No_output_folder_holds_a_copy_of_libtorch_of_its_own()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Links are counted with Linux's stat.");
        var libraries = Directory.EnumerateFiles(Repository.Root, "libtorch_*.so", SearchOption.AllDirectories)
            .Where(path => !Repository.Relative(path).Split('/').Contains("publish"))
            .ToArray();

        Assert.Contains(libraries, path => path.StartsWith(AppContext.BaseDirectory, StringComparison.Ordinal));
        foreach (var path in libraries)
        {
            var linked = new FileInfo(path).LinkTarget is not null || await LinksTo(path) > 1;
            Assert.True(linked, $"{path} is a copy; delete the output folder and build again.");
        }
    }

    [Fact]
    public async Task The_embedded_model_lies_beside_a_program()
    {
        var model = Path.Combine(AppContext.BaseDirectory, "models", "storybook");
        var here = Directory.EnumerateFiles(model, "*", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(model, path));
        var source = Repository.PathOf("models/storybook");
        var there = Directory.EnumerateFiles(source, "*", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(source, path));

        Assert.Equal(there.Order(), here.Order());
        if (OperatingSystem.IsLinux())
        {
            Assert.True(await LinksTo(Path.Combine(model, "unet", "diffusion_pytorch_model.safetensors")) > 1);
        }
    }

    private static async Task<int> LinksTo(string path)
    {
        var (code, output) = await Repository.Run("stat", "-c", "%h", path);
        Assert.True(code == 0, output);
        return int.Parse(output, CultureInfo.InvariantCulture);
    }
}
