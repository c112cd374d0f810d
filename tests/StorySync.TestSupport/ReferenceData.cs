using System.Text.Json;

namespace StorySync.TestSupport;

/// <summary>The reference data: what diffusers and transformers computed. Its folder comes from the environment variable
/// <c>STORYSYNC_REFERENCE</c>; by default it is <c>../shared/reference</c> beside the repository.</summary>
public static class ReferenceData
{
    public const string Variable = "STORYSYNC_REFERENCE";

    /// <summary>What <see cref="Rows"/> holds when there is nothing.</summary>
    private const string Nothing = "(none)";

    private static readonly Lazy<IReadOnlyList<ReferenceCase>> LoadedCases = new(LoadCases);

    /// <summary>The folder, or null when there is none.</summary>
    public static string? Root { get; } = FindRoot();

    /// <summary>Every case of <c>index.json</c>; empty when there is no reference folder.</summary>
    public static IReadOnlyList<ReferenceCase> Cases => LoadedCases.Value;

    /// <summary>Skips the running test, with a message, when there is no reference folder.</summary>
    public static string RequireRoot()
    {
        Assert.SkipWhen(Root is null, $"No reference data: set {Variable} to its folder, or put it at ../shared/reference beside the repository.");
        return Root!;
    }

    /// <summary>The names of the cases that are wanted, as rows of a theory (see <see cref="Rows"/>).</summary>
    public static TheoryData<string> CaseNames(Func<ReferenceCase, bool> wanted) => Rows(Cases.Where(wanted).Select(c => c.Name));

    /// <summary>Names of cases or files of the reference as rows of a theory. When there are none there is one row on which
    /// <see cref="Case"/> and <see cref="PathOf"/> skip the test, because the runner counts a theory without data as failed.</summary>
    public static TheoryData<string> Rows(IEnumerable<string> names) => [.. names.DefaultIfEmpty(Nothing)];

    /// <summary>The path of a file or folder of the reference; skips the running test when there is none.</summary>
    public static string PathOf(string relative)
    {
        RequireRoot();
        Assert.SkipWhen(relative.EndsWith(Nothing, StringComparison.Ordinal), "The reference data has none of these files.");
        return Path.Combine(Root!, relative.Replace('/', Path.DirectorySeparatorChar));
    }

    /// <summary>A case by its name; skips the running test when there is none.</summary>
    public static ReferenceCase Case(string name)
    {
        RequireRoot();
        Assert.SkipWhen(name == Nothing, "The reference data has none of these cases.");
        return Cases.Single(c => c.Name == name);
    }

    /// <summary>The repository's own root, found from the folder of the running tests.</summary>
    public static string RepositoryRoot { get; } = FindRepository();

    private static string? FindRoot()
    {
        var named = Environment.GetEnvironmentVariable(Variable);
        if (!string.IsNullOrEmpty(named))
        {
            return File.Exists(Path.Combine(named, "index.json"))
                ? Path.GetFullPath(named)
                : throw new DirectoryNotFoundException($"{Variable} is '{named}', but there is no index.json in that folder.");
        }

        var beside = Path.GetFullPath(Path.Combine(FindRepository(), "..", "shared", "reference"));
        return File.Exists(Path.Combine(beside, "index.json")) ? beside : null;
    }

    private static string FindRepository()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "StorySync.sln")))
            {
                return folder.FullName;
            }
        }

        throw new DirectoryNotFoundException($"No StorySync.sln above {AppContext.BaseDirectory}.");
    }

    private static IReadOnlyList<ReferenceCase> LoadCases()
    {
        if (Root is null)
        {
            return [];
        }

        // Python writes infinities as JSON does not know them; as strings they reach the tests that need them.
        var text = File.ReadAllText(Path.Combine(Root, "index.json")).Replace(": -Infinity", ": \"-Infinity\"", StringComparison.Ordinal);
        using var index = JsonDocument.Parse(text);
        return [.. index.RootElement.GetProperty("cases").EnumerateArray().Select(c => new ReferenceCase(Root, c.Clone()))];
    }
}
