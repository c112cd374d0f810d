using System.Text.RegularExpressions;

namespace StorySync.Repository.Tests;

/// <summary>What the files say: nothing that is true on one machine alone, and no link that leads nowhere.</summary>
public partial class TextTests
{
    private static readonly HashSet<string> Written =
        [".cs", ".csproj", ".props", ".targets", ".sln", ".json", ".md", ".sh", ".yml", ".yaml", ".config", ".fs", ".txt", ".editorconfig", ""];

    [Fact]
    public void No_file_names_a_folder_of_someones_machine_or_a_package_registry()
    {
        var texts = Repository.Files().Where(path => Written.Contains(Path.GetExtension(path))).ToArray();
        Assert.NotEmpty(texts);
        Assert.All(texts, path =>
        {
            var found = MachineBound().Match(File.ReadAllText(path));
            Assert.False(found.Success, $"{Repository.Relative(path)}: {found.Value}");
        });
    }

    [Theory]
    [InlineData("see " + "/wo" + "rk/main/README.md")]
    [InlineData("\"/ho" + "me/ada/model\"")]
    [InlineData("C:" + @"\Users\ada")]
    [InlineData("https://api.nu" + "get.org/v3/index.json")]
    [InlineData("https://some.host/" + "artifactory/api")]
    public void Such_a_name_would_be_found(string text) => Assert.Matches(MachineBound(), text);

    [Theory]
    [InlineData("a network/worker")]
    [InlineData("https://www.nuget.org/packages/TorchSharp")]
    [InlineData("~/.cache/huggingface/hub")]
    public void What_is_no_such_name_would_not_be_found(string text) => Assert.DoesNotMatch(MachineBound(), text);

    [Fact]
    public void Links_between_documents_lead_somewhere()
    {
        var links = Repository.Files("*.md")
            .SelectMany(path => Link().Matches(File.ReadAllText(path)).Select(match => (path, target: match.Groups[1].Value)))
            .ToArray();
        Assert.NotEmpty(links);
        Assert.All(links, link =>
            Assert.True(
                Path.Exists(Path.GetFullPath(link.target, Path.GetDirectoryName(link.path)!)),
                $"{Repository.Relative(link.path)} links to {link.target}"));
    }

    [GeneratedRegex(@"(?<![\w.~-])/(?:work|home|root|Users|mnt)/\w|\b[A-Z]:\\+Users\b|\b(?:api\.nuget\.org|pkgs\.dev\.azure\.com|nuget\.pkg\.github\.com|[\w.-]+/artifactory|registry\.npmjs\.org)\b")]
    private static partial Regex MachineBound();

    [GeneratedRegex(@"\]\((?!\w+:|#)([^)#\s]+)")]
    private static partial Regex Link();
}
