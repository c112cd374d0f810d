using System.Reflection;
using System.Text.Json;
using System.Xml.Linq;

namespace StorySync.Repository.Tests;

/// <summary>Kernels ← Attention ← Diffusion ← Pipelines ← Evaluation, Books, Documents, Extensions, Hub ← programs: what may be used by
/// what. Cluster is on top of Extensions, AspNetCore on top of those two and of Books and Documents.</summary>
public class ArchitectureTests
{
    private static readonly string[] Libraries = 
    [
        "StorySync.Kernels", "StorySync.Attention", "StorySync.Diffusion", "StorySync.Pipelines", "StorySync.Evaluation",
        "StorySync.Books", "StorySync.Documents", "StorySync.Extensions", "StorySync.Hub", "StorySync.Cluster", "StorySync.AspNetCore",
    ];

    /// <summary>The first libraries are on top of each other; the others are on top of those, and not of each other.</summary>
    private static readonly int Storeys = Array.IndexOf(Libraries, "StorySync.Evaluation");

    /// <summary>Those that are on top of one of the others.</summary>
    private static readonly Dictionary<string, string[]> FurtherBelow = new()
    {
        ["StorySync.Cluster"] = ["StorySync.Extensions"],
        ["StorySync.AspNetCore"] = ["StorySync.Books", "StorySync.Extensions", "StorySync.Cluster", "StorySync.Documents"],
    };

    public static TheoryData<string, string[]> LibrariesWithThoseBelow() =>
        [.. Libraries.Select((library, i) => new TheoryDataRow<string, string[]>(
            library, [.. Libraries[..Math.Min(i, Storeys)], .. FurtherBelow.GetValueOrDefault(library, [])]))];

    public static TheoryData<string> AllLibraries() => [.. Libraries];

    [Theory]
    [MemberData(nameof(LibrariesWithThoseBelow))]
    public void A_library_uses_only_those_below_it(string library, string[] below)
    {
        var allowed = below.ToHashSet();
        var projects = References(ProjectOf(library), "ProjectReference").Select(path => Path.GetFileNameWithoutExtension(path)!);
        var assemblies = Assembly.Load(library).GetReferencedAssemblies().Select(name => name.Name!);
        Assert.Subset(allowed, projects.ToHashSet());
        Assert.Subset(allowed, assemblies.Where(name => name.StartsWith("StorySync", StringComparison.Ordinal)).ToHashSet());
    }

    [Theory]
    [MemberData(nameof(AllLibraries))]
    public void Enumerations_are_written_to_JSON_by_their_names(string library) => Assert.All(
        Assembly.Load(library).GetExportedTypes().Where(type => type.IsEnum),
        type => Assert.Equal($"\"{Enum.GetNames(type)[0]}\"", JsonSerializer.Serialize(Enum.GetValues(type).GetValue(0), type)));

    [Theory]
    [MemberData(nameof(AllLibraries))]
    public void A_library_leaves_the_backend_to_its_users(string library) =>
        Assert.DoesNotContain(
            References(ProjectOf(library), "PackageReference"),
            name => name.StartsWith("TorchSharp-", StringComparison.OrdinalIgnoreCase));

    [Theory]
    [InlineData("StorySync.Kernels")]
    [InlineData("StorySync.Attention")]
    public void It_knows_tensors_and_nothing_else(string library) =>
        Assert.Equal(["TorchSharp"], References(ProjectOf(library), "PackageReference"));

    [Fact]
    public void Kernels_alone_hold_unsafe_code()
    {
        Assert.All(Libraries, library => Assert.Equal(library == "StorySync.Kernels", Allows(library, "AllowUnsafeBlocks")));
        Assert.DoesNotContain("AllowUnsafeBlocks", File.ReadAllText(Repository.PathOf("Directory.Build.props")), StringComparison.Ordinal);
        Assert.DoesNotContain("AllowUnsafeBlocks", File.ReadAllText(Repository.PathOf("src/Directory.Build.props")),
            StringComparison.Ordinal);
    }

    [Fact]
    public void Weights_know_no_layers() => Assert.All(
        Repository.Files("*.cs", Repository.PathOf("src/StorySync.Diffusion/Weights")),
        path => Assert.DoesNotContain("StorySync.Diffusion.Layers", File.ReadAllText(path), StringComparison.Ordinal));

    /// <summary>Without these files nothing is checked against them.</summary>
    [Theory]
    [MemberData(nameof(AllLibraries))]
    public void A_library_writes_down_what_it_offers(string library) => Assert.All(
        (string[])["PublicAPI.Shipped.txt", "PublicAPI.Unshipped.txt"],
        file => Assert.Equal("#nullable enable", File.ReadLines(Repository.PathOf($"src/{library}/{file}")).First()));

    /// <summary>What belongs to an object is a field of it: a table of objects elsewhere is found by nobody who reads the object.</summary>
    [Fact]
    public void No_library_keeps_a_table_of_objects() => Assert.All(
        Repository.Files("*.cs", Repository.PathOf("src")),
        path => Assert.DoesNotContain("ConditionalWeakTable", File.ReadAllText(path), StringComparison.Ordinal));

    [Fact]
    public void Kernels_are_nobodys_business_but_a_librarys() => Assert.Equal(
        ["StorySync.NativeBackend"],
        Assembly.Load("StorySync.Kernels").GetExportedTypes().Select(type => type.FullName!));

    /// <summary>Where libtorch throws in <c>matmul</c>, for a wrong shape or out of memory, TorchSharp ends the process; in <c>mm</c>,
    /// <c>bmm</c> and <c>linear</c> it gives an exception.</summary>
    [Fact]
    public void No_library_calls_what_ends_the_process_on_an_error() => Assert.All(
        Repository.Files("*.cs", Repository.PathOf("src")),
        path => Assert.DoesNotContain(".matmul(", File.ReadAllText(path), StringComparison.Ordinal));

    /// <summary>Copies between host and device are made and counted in one place; whatever else asks a device for numbers would be missed
    /// there.</summary>
    [Theory]
    [InlineData("Story")]
    [InlineData("Techniques")]
    public void Techniques_copy_in_one_place(string folder) => Assert.All(
        Repository.Files("*.cs", Repository.PathOf($"src/StorySync.Attention/{folder}")),
        path => Assert.All(
            (string[])[".cpu()", ".item<", ".nonzero(", ".to(device", "device:", ".cuda("],
            call => Assert.DoesNotContain(call, File.ReadAllText(path), StringComparison.Ordinal)));

    [Fact]
    public void No_library_uses_a_program() =>
        Assert.All(
            Repository.Files("*.csproj", Repository.PathOf("src")),
            project => Assert.All(
                References(project, "ProjectReference"),
                reference =>
                {
                    var target = Repository.Relative(Path.GetFullPath(reference, Path.GetDirectoryName(project)!));
                    Assert.True(target.StartsWith("src/", StringComparison.Ordinal)
                        || target.StartsWith("models/", StringComparison.Ordinal), target);
                }));

    [Fact]
    public void Every_project_is_in_the_solution()
    {
        var solution = File.ReadAllText(Repository.PathOf("StorySync.slnx")).Replace('\\', '/');
        Assert.All(
            Repository.Files("*.csproj").Where(project => !IsOfTemplate(project)),
            project => Assert.Contains($"\"{Repository.Relative(project)}\"", solution));
    }

    /// <summary>A template's project is built where it is used.</summary>
    private static bool IsOfTemplate(string project) =>
        Repository.Relative(project).StartsWith("templates/content/", StringComparison.Ordinal);

    private static bool Allows(string library, string property) =>
        XDocument.Load(ProjectOf(library)).Descendants(property).Any(element => element.Value == "true");

    private static string ProjectOf(string library) => Repository.PathOf($"src/{library}/{library}.csproj");

    private static string[] References(string project, string kind) =>
        [.. XDocument.Load(project).Descendants(kind).Select(reference => reference.Attribute("Include")!.Value)];
}
