using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace StorySync.Repository.Tests;

/// <summary>The public members' docs have the forms of .NET's own.</summary>
public partial class DocumentationTests
{
    public static TheoryData<string> Libraries() => ArchitectureTests.AllLibraries();

    [Theory]
    [MemberData(nameof(Libraries))]
    public void Summaries_begin_as_those_of_the_framework_do(string library)
    {
        var members = XDocument.Load(Path.Combine(AppContext.BaseDirectory, $"{library}.xml")).Descendants("member").ToList();
        var shipped = PublicApi(library);

        // A record's parameters give its constructor and its properties their docs.
        var ofRecords = members.Where(member => member.Attribute("name")!.Value.Contains(".#ctor", StringComparison.Ordinal))
            .SelectMany(member => member.Elements("param").Select(parameter =>
                $"P:{Simple(member.Attribute("name")!.Value[2..])}.{parameter.Attribute("name")!.Value}")).ToHashSet();
        var types = members.Where(member => member.Attribute("name")!.Value[0] == 'T')
            .ToDictionary(member => member.Attribute("name")!.Value[2..], member => Text(member.Element("summary")));
        Assert.NotEmpty(members);
        Assert.Empty(
            from member in members
            let name = member.Attribute("name")!.Value
            let summary = Text(member.Element("summary"))
            where summary.Length > 0 && !ofRecords.Contains(name) && types.GetValueOrDefault(Simple(name[2..])) != summary
                && shipped.Contains(Simple(name[2..])) && Expected(name) is { } form && !form.IsMatch(summary)
            select $"{name}: {summary}");
    }

    private static Regex? Expected(string name) =>
        name.Contains("#ctor", StringComparison.Ordinal) ? Constructor()
        : name.Contains(".op_", StringComparison.Ordinal) ? null
        : name[0] switch { 'P' => Property(), 'M' => Method(), 'E' => Event(), _ => null };

    /// <summary>The members that are listed as public, without parameters and types.</summary>
    private static HashSet<string> PublicApi(string library) =>
        [.. File.ReadAllLines(Repository.PathOf($"src/{library}/PublicAPI.Unshipped.txt"))
            .Concat(File.ReadAllLines(Repository.PathOf($"src/{library}/PublicAPI.Shipped.txt")))
            .SelectMany(line => Accessor().Replace(line, "").Split('(', ' ')
                .Where(part => part.StartsWith("StorySync.", StringComparison.Ordinal)).Take(1))];

    private static string Simple(string name) => name.Split('(')[0].Replace(".#ctor", "", StringComparison.Ordinal);

    private static string Text(XElement? element) => element is null ? "" : Spaces().Replace(element.Value, " ").Trim();

    [GeneratedRegex("^Gets\\b")]
    private static partial Regex Property();

    [GeneratedRegex(@"^Initializes a new instance\b")]
    private static partial Regex Constructor();

    [GeneratedRegex(@"^(?!This\b)[A-Z][a-z]+s\b")]
    private static partial Regex Method();

    [GeneratedRegex("^Occurs when\\b")]
    private static partial Regex Event();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();

    [GeneratedRegex(@"\.(?:get|set|init)\b")]
    private static partial Regex Accessor();
}
