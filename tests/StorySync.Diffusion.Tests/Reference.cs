namespace StorySync.Diffusion.Tests;

/// <summary>The reference data, which is not part of the repository: the folder that STORYSYNC_REFERENCE names, or
/// shared/reference beside the repository.</summary>
internal static class Reference
{
    private static readonly Lazy<string?> Folder = new(Find);

    /// <summary>A path in the reference; the test is skipped if there is no reference.</summary>
    public static string Path(params string[] parts)
    {
        Assert.SkipWhen(Folder.Value is null, "no reference data: set STORYSYNC_REFERENCE to its folder");
        return System.IO.Path.Combine([Folder.Value!, .. parts]);
    }

    private static string? Find()
    {
        if (Environment.GetEnvironmentVariable("STORYSYNC_REFERENCE") is { Length: > 0 } given)
        {
            return given;
        }

        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(System.IO.Path.Combine(folder.FullName, "StorySync.sln")))
            {
                var beside = System.IO.Path.Combine(folder.Parent!.FullName, "shared", "reference");
                return Directory.Exists(beside) ? beside : null;
            }
        }

        return null;
    }
}
