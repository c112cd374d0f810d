using System.Text.RegularExpressions;

namespace StorySync.Repository.Tests;

/// <summary>What the files say: nothing that is true on one machine alone, and no link that leads nowhere.</summary>
public partial class TextTests
{
    private static readonly HashSet<string> Written =
    [
        ".cs", ".csproj", ".props", ".targets", ".sln", ".json", ".md", ".sh", ".yml", ".yaml", ".config", ".fs", ".txt", ".editorconfig",
            "",
    ];

    private static readonly HashSet<string> Prose = [".cs", ".md", ".sh", ".props", ".targets", ".csproj", ".yaml"];

    private const int MaxLineLength = 140;

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

    [Fact]
    public void The_sites_contents_name_documents_that_are_there()
    {
        var named = Href().Matches(File.ReadAllText(Repository.PathOf("docs/toc.yml"))).Select(match => match.Groups[1].Value).ToArray();
        Assert.NotEmpty(named);
        Assert.All(named, target => Assert.True(File.Exists(Repository.PathOf($"docs/{target}")), target));
    }

    /// <summary>Words that are read otherwise than they were meant, for which .NET's documentation has others: "after" or "following",
    /// "next to" or "in addition", "again", "in the same way", "simultaneously" or "immediately", "is invalid", "could not be found",
    /// "is available", "reports", "your own", "if necessary", "ignored", "one row per".</summary>
    [Fact]
    public void No_text_has_words_that_readers_take_for_others() => Assert.Empty(
        Repository.Files()
            .Where(path => Prose.Contains(Path.GetExtension(path)) && Path.GetFileName(path) != "TextTests.cs")
            .SelectMany(path => Misread().Matches(File.ReadAllText(path)).Select(match => $"{Repository.Relative(path)}: {match.Value}")));

    [Theory]
    [InlineData("The request is no" + " good.")]
    [InlineData("It is made a" + "new.")]
    [InlineData("the layer be" + "hind it")]
    [InlineData("Be" + "side the file")]
    [InlineData("Tel" + "ls of options without effect.")]
    [InlineData("an image of on" + "e's own")]
    [InlineData("a ro" + "w a story")]
    public void Such_words_would_be_found(string text) => Assert.Matches(Misread(), text);

    /// <summary>In documents and XML docs, outside code: "image", and the spelling of the United States, as in .NET's own.</summary>
    [Fact]
    public void Documents_have_the_terms_and_the_spelling_of_the_framework() => Assert.Empty(
        Repository.Files()
            .Where(path => Path.GetExtension(path) is ".md" or ".cs"
                && Path.GetFileName(path) is not ("CHANGELOG.md" or "TextTests.cs"))
            .SelectMany(path => Term().Matches(ProseOf(path)).Select(match => $"{Repository.Relative(path)}: {match.Value}")));

    [Theory]
    [InlineData("a pict" + "ure of a fox")]
    [InlineData("its col" + "our")]
    [InlineData("a cance" + "lled run")]
    public void Such_terms_would_be_found(string text) => Assert.Matches(Term(), text);

    [Fact]
    public void No_line_of_code_is_longer_than_the_editor_config_allows()
    {
        var code = Repository.Files("*.cs")
            .SelectMany(path => LongLines(path).Select(line => $"{Repository.Relative(path)}:{line}"));
        Assert.Contains($"max_line_length = {MaxLineLength}", File.ReadAllText(Repository.PathOf(".editorconfig")));
        Assert.Empty(code);
    }

    /// <summary>libtorch's own generator is seeded by chance, so that a test that draws from it fails once in a while.</summary>
    [Fact]
    public void Random_tensors_of_tests_are_seeded() => Assert.Empty(
        Repository.Files("*.cs", Repository.PathOf("tests"))
            .SelectMany(path => RandomTensor().Matches(File.ReadAllText(path))
                .Where(match => !match.Value.Contains("generator:", StringComparison.Ordinal))
                .Select(match => $"{Repository.Relative(path)}: {match.Value}")));

    /// <summary>The XML docs of a source file, or the text of a document, without code, names and addresses.</summary>
    private static string ProseOf(string path)
    {
        var text = Path.GetExtension(path) == ".cs"
            ? string.Join('\n', File.ReadLines(path).Where(line => line.TrimStart().StartsWith("///", StringComparison.Ordinal)))
            : Fence().Replace(File.ReadAllText(path), "");
        return Code().Replace(text, "");
    }

    /// <summary>Numbers of the lines that are too long; a line that is one literal, or in a raw one, cannot be broken.</summary>
    private static IEnumerable<int> LongLines(string path)
    {
        var isRaw = false;
        foreach (var (i, line) in File.ReadLines(path).Index())
        {
            var quotes = RawQuotes().Count(line);
            if (line.Length > MaxLineLength && !isRaw && quotes == 0 && !Literal().IsMatch(line))
            {
                yield return i + 1;
            }

            isRaw ^= quotes % 2 == 1;
        }
    }

    /// <summary>A call up to its end, or to that of its line's statement.</summary>
    [GeneratedRegex(@"(?<![\w.])(?:torch\.)?(?:randn|rand|randint|randperm)\([^;{}]*")]
    private static partial Regex RandomTensor();

    [GeneratedRegex("\"\"\"+")]
    private static partial Regex RawQuotes();

    [GeneratedRegex(@"^\s*(?:\+ )?[$@]*"".*""[)\],;]*$")]
    private static partial Regex Literal();

    [GeneratedRegex(
        @"\b(?:anew|likewise|beside|behind|at once|no good|nowhere to be found|in passing|to be had|told after|hears of|told of|tells? of"
            + @"|one's own|if need be|for want of|without a word|without meaning|goes on regardless|into being|a row an? \w+)\b",
            RegexOptions.IgnoreCase)]
    private static partial Regex Misread();

    [GeneratedRegex(
        @"\b(?:pictures?|colour(?:s|ed)?|licences?|grey|centres?|cancelled|neighbours?|(?:normal|quant|recogn)ised?)\b",
        RegexOptions.IgnoreCase)]
    private static partial Regex Term();

    /// <summary>Blocks of code: fenced, or indented by four.</summary>
    [GeneratedRegex(@"^ *```.*?^ *```|^ {4}.*?$", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Fence();

    [GeneratedRegex(@"`[^`]*`|\]\([^)]*\)|<c>.*?</c>|<[^>]*>|https?://\S+", RegexOptions.Singleline)]
    private static partial Regex Code();

    [GeneratedRegex(
        @"(?<![\w.~-])/(?:work|home|root|Users|mnt)/\w|\b[A-Z]:\\+Users\b|\b(?:api\.nuget\.org|pkgs\.dev\.azure\.com|nuget\.pkg\.github\.com|[\w.-]+/artifactory|registry\.npmjs\.org)\b")]
    private static partial Regex MachineBound();

    [GeneratedRegex(@"href: (\S+\.md)$", RegexOptions.Multiline)]
    private static partial Regex Href();

    [GeneratedRegex(@"\]\((?!\w+:|#)([^)#\s]+)")]
    private static partial Regex Link();
}
