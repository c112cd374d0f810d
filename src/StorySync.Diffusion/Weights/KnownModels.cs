namespace StorySync.Diffusion.Weights;

/// <summary>Models that go by a plain name because they come with the application.</summary>
internal static class KnownModels
{
    private static readonly Dictionary<string, string> Folders = new(StringComparer.OrdinalIgnoreCase)
    {
        ["storybook"] = Path.Combine("models", "storybook"),
    };

    /// <summary>The folder of a known name, or null if the name is not known.</summary>
    /// <exception cref="ModelFileException">The name is known, but its folder is not there.</exception>
    public static string? Find(string name)
    {
        if (!Folders.TryGetValue(name, out var folder))
        {
            return null;
        }

        var path = Path.Combine(AppContext.BaseDirectory, folder);
        return Directory.Exists(path)
            ? path
            : throw new ModelFileException(path, $"the model '{name}' should be here, next to the application");
    }
}
