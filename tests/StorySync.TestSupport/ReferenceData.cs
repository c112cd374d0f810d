using System.Collections.Concurrent;
using System.Reflection;
using System.Security.Cryptography;
using System.Text.Json;
using Xunit.v3;

namespace StorySync.TestSupport;

/// <summary>The reference data: what diffusers and transformers computed. A small set is in the repository, in <c>tests/Reference</c>. A
/// larger
/// one of the same format is used as well where there is one: in the folder that the environment variable <c>STORYSYNC_REFERENCE</c>
/// names, by default <c>../shared/reference</c> neighbor the repository.</summary>
public static class ReferenceData
{
    public const string Variable = "STORYSYNC_REFERENCE";

    /// <summary>What <see cref="Rows"/> holds when there is nothing.</summary>
    private const string Nothing = "(none)";

    private const string Missing = "The reference data has no such";

    private static readonly ConcurrentDictionary<string, bool> Wanted = new();
    private static readonly Lazy<IReadOnlyList<ReferenceCase>> LoadedCases = new(() => [.. Roots.SelectMany(LoadCases)]);

    /// <summary>The repository's own root, found from the folder of the running tests.</summary>
    public static string RepositoryRoot { get; } = FindRepository();

    /// <summary>The folder of the larger set, or null when there is none.</summary>
    public static string? Root { get; } = FindRoot();

    /// <summary>The folder of the repository's own set.</summary>
    public static string OwnRoot { get; } = Path.Combine(RepositoryRoot, "tests", "Reference");

    /// <summary>Every case of both sets.</summary>
    public static IReadOnlyList<ReferenceCase> Cases => LoadedCases.Value;

    /// <summary>The folders in which a file is looked for, the larger set first.</summary>
    private static IEnumerable<string> Roots => Root is null ? [OwnRoot] : [Root, OwnRoot];

    /// <summary>The folder of the larger set; skips the running test when there is none.</summary>
    public static string RequireRoot()
    {
        SkipWithout(Root is not null, "files");
        return Root!;
    }

    /// <summary>The names of the cases that are wanted, as rows of a theory (see <see cref="Rows"/>).</summary>
    public static TheoryData<string> CaseNames(Func<ReferenceCase, bool> wanted) => Rows(Cases.Where(wanted).Select(c => c.Name));

    /// <summary>The names of a folder's JSON files that are wanted, as rows of a theory (see <see cref="Rows"/>).</summary>
    /// <param name="folder">The folder in the reference, such as <c>manifests</c>.</param>
    /// <param name="wanted">Whether a file's content is wanted; null takes all.</param>
    public static TheoryData<string> FileNames(string folder, Func<JsonElement, bool>? wanted = null)
    {
        var files = Root is not null && Directory.Exists(Path.Combine(Root, folder))
            ? Directory.GetFiles(Path.Combine(Root, folder), "*.json") : [];
        return Rows(files.Where(file => wanted is null || wanted(Parse(file))).Select(file =>
            Path.GetFileName(file)).Order(StringComparer.Ordinal));
    }

    /// <summary>Names of cases or files of the reference as rows of a theory. When there are none there is one row on which
    /// <see cref="Case"/> and <see cref="PathOf"/> skip the test, because the runner counts a theory without data as failed.</summary>
    public static TheoryData<string> Rows(IEnumerable<string> names) => [.. names.DefaultIfEmpty(Nothing)];

    /// <summary>The path of a file or folder of the reference; skips the running test when there is none.</summary>
    public static string PathOf(string relative)
    {
        var path = Roots.Select(root => Path.Combine(root, relative.Replace('/', Path.DirectorySeparatorChar))).FirstOrDefault(Path.Exists);
        SkipWithout(path is not null, relative.Split('/')[0]);
        return path!;
    }

    /// <summary>Skips the running test unless a file of the reference is the one that the test's golden was made with.</summary>
    /// <param name="relative">The file.</param>
    /// <param name="sha256">Its SHA-256, in lower case.</param>
    public static void RequireFile(string relative, string sha256) =>
        SkipWithout(Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(PathOf(relative)))) == sha256, relative.Split('/')[0]);

    /// <summary>A JSON file of the reference; skips the running test when there is none.</summary>
    public static JsonElement Json(string relative) => Parse(PathOf(relative));

    /// <summary>A case by its name; skips the running test when there is none.</summary>
    public static ReferenceCase Case(string name)
    {
        SkipWithout(name != Nothing, "cases");
        return Cases.Single(c => c.Name == name);
    }

    /// <summary>Fails when a case or a file of the reference is not a row of any theory of an assembly: then nothing tests it.</summary>
    /// <param name="tests">The assembly.</param>
    /// <param name="wanted">The names of what the assembly has to test.</param>
    public static void AssertAllAreTested(Assembly tests, IEnumerable<string> wanted)
    {
        var rows = from method in tests.GetTypes().SelectMany(type => type.GetMethods())
                   where method.GetCustomAttribute<TheoryAttribute>() is not null
                   from source in method.GetCustomAttributes<MemberDataAttribute>()
                   from row in Data(source.MemberType ?? method.DeclaringType!, source.MemberName)
                   from value in row.GetData()
                   select value as string;
        Assert.Empty(wanted.Except(rows.OfType<string>()));
    }

    /// <summary>Whether a test was skipped because a file of the reference is missing.</summary>
    /// <param name="reason">The reason that it gave.</param>
    public static bool IsMissing(string reason) => reason.StartsWith(Missing, StringComparison.Ordinal);

    /// <summary>The line that reports all tests of this program that were skipped without reference data.</summary>
    /// <param name="count">How many they are.</param>
    public static string SkippedSummary(int count) =>
        $"{(count == 1 ? "1 test of this program is" : $"{count} tests of this program are")} skipped: they need the larger reference data "
            + $"({string.Join(", ", Wanted.Keys.Order(StringComparer.Ordinal))}): comparisons with diffusers and transformers on more "
            + "models, sizes and options than the small ones in tests/Reference, which are compared everywhere. "
            + $"Set {Variable} to its folder, or put it at ../shared/reference.";

    private static IEnumerable<ITheoryDataRow> Data(Type type, string member)
    {
        const BindingFlags Any = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static;
        var data = type.GetProperty(member, Any)?.GetValue(null) ?? type.GetMethod(member, Any)?.Invoke(null, null);
        return (data as IEnumerable<ITheoryDataRow>) ?? [];
    }

    private static void SkipWithout(bool found, string what)
    {
        if (!found)
        {
            Wanted[what] = true;
            Assert.Skip($"{Missing} {what}: set {Variable} to the folder of the larger set, or put that at ../shared/reference.");
        }
    }

    private static string? FindRoot()
    {
        var named = Environment.GetEnvironmentVariable(Variable);
        if (!string.IsNullOrEmpty(named))
        {
            return File.Exists(Path.Combine(named, "index.json"))
                ? Path.GetFullPath(named)
                : throw new DirectoryNotFoundException($"{Variable} is '{named}', but there is no index.json in that folder.");
        }

        var sibling = Path.GetFullPath(Path.Combine(FindRepository(), "..", "shared", "reference"));
        return File.Exists(Path.Combine(sibling, "index.json")) ? sibling : null;
    }

    private static string FindRepository()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "StorySync.slnx")))
            {
                return folder.FullName;
            }
        }

        throw new DirectoryNotFoundException($"No StorySync.slnx above {AppContext.BaseDirectory}.");
    }

    private static IEnumerable<ReferenceCase> LoadCases(string root) =>
        Parse(Path.Combine(root, "index.json")).GetProperty("cases").EnumerateArray().Select(entry => new ReferenceCase(root, entry));

    private static JsonElement Parse(string path)
    {
        // Python writes infinities as JSON does not know them; as strings they reach the tests that need them.
        using var document = JsonDocument.Parse(File.ReadAllText(path).Replace(": -Infinity", ": \"-Infinity\"", StringComparison.Ordinal));
        return document.RootElement.Clone();
    }
}
