namespace StorySync.Diffusion.Weights;

/// <summary>Models that go by a plain name because they come with the application.</summary>
internal static class KnownModels
{
    /// <summary>The packages that bring the models, by name.</summary>
    private static readonly Dictionary<string, string> Packages = new(StringComparer.OrdinalIgnoreCase)
    {
        ["storybook"] = "StorySync.Models.Storybook",
        ["storybook-flux"] = "StorySync.Models.StorybookFlux",
        ["storybook-kandinsky3"] = "StorySync.Models.StorybookKandinsky3",
    };

    /// <summary>Returns the folder of a known name, or null if the name is not known.</summary>
    /// <exception cref="ModelFileException">The name is known, but its folder is not there.</exception>
    public static string? Find(string name)
    {
        if (!Packages.TryGetValue(name, out var package))
        {
            return null;
        }

        var path = Path.Combine(AppContext.BaseDirectory, "models", name.ToLowerInvariant());
        return Directory.Exists(path)
            ? path
            : throw new ModelFileException(
                path, $"the model '{name}' should be here, next to the application; the package {package} brings it");
    }
}
