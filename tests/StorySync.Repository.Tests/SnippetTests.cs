using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace StorySync.Repository.Tests;

/// <summary>The C# in the documents compiles against the libraries as they are.</summary>
public partial class SnippetTests
{
    /// <summary>What a project has without saying so.</summary>
    internal const string ImplicitUsings =
        "using System; using System.Collections.Generic; using System.IO; using System.Linq; using System.Net.Http; "
            + "using System.Threading; using System.Threading.Tasks;";

    /// <summary>What goes without saying where a snippet is a part of a program. One that begins with usings is a whole program, which
    /// compiles as it stands.</summary>
    private const string UsingsOfParts =
        "using StorySync.Attention; using StorySync.Diffusion; using StorySync.Evaluation; using StorySync.Pipelines;";

    /// <summary>What a document speaks of as given, by its path.</summary>
    private static readonly Dictionary<string, string> Given = new()
    {
        ["docs/evaluation.md"] = "StoryResult result",
        ["docs/stories.md"] = "DiffusionPipeline pipeline, Story story, StoryOptions options",
        ["src/StorySync.Attention/README.md"] =
            "int steps, Func<StoryBatch, StoryAttention, AttentionContext, TorchSharp.torch.Tensor> Denoise, StorySubject fox, "
                + "TorchSharp.torch.Tensor keptMask",
        ["src/StorySync.Extensions/README.md"] =
            "Microsoft.Extensions.DependencyInjection.IServiceCollection services, Microsoft.Extensions.AI.IImageGenerator generator",
        ["src/StorySync.Pipelines/README.md"] = "DiffusionPipeline pipeline, Story story, long availableBytes",
    };

    /// <summary>What the libraries and .NET offer.</summary>
    internal static readonly MetadataReference[] References =
    [
        .. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator).Select(path =>
            MetadataReference.CreateFromFile(path)),
    ];

    public static TheoryData<string, int> Snippets() =>
    [
        .. Repository.Files("*.md").SelectMany(path => Enumerable.Range(0, Fences().Count(File.ReadAllText(path)))
            .Select(i => new TheoryDataRow<string, int>(Repository.Relative(path), i))),
    ];

    [Theory]
    [MemberData(nameof(Snippets))]
    public void A_snippet_compiles(string document, int index)
    {
        var snippet = Fences().Matches(File.ReadAllText(Repository.PathOf(document)))[index].Groups[1].Value;
        Assert.Empty(Errors(snippet, Given.GetValueOrDefault(document, "")));
    }

    [Fact]
    public void There_are_snippets_and_a_broken_one_is_found()
    {
        Assert.Contains(Snippets(), row => row.Data.Item1 == "README.md");
        Assert.NotEmpty(Errors("var plan = pipeline.PlanMemories(story);", "DiffusionPipeline pipeline, Story story"));
        Assert.NotEmpty(Errors("using StorySync.Attention;\nvar story = new Story { Scenes = [] };", ""));
        Assert.Empty(Errors("using StorySync.Pipelines;\nvar story = new Story { Scenes = [] };", ""));
    }

    private static IEnumerable<string> Errors(string snippet, string given)
    {
        var usings = string.Concat(UsingLines().Matches(snippet).Select(match => match.Value));
        var rest = UsingLines().Replace(snippet, "");
        var code = rest.Contains("public sealed class", StringComparison.Ordinal) ? rest
            : $"class Snippet {{ async Task Run({given}) {{ {rest} }} }}";
        var tree = CSharpSyntaxTree.ParseText($"{ImplicitUsings}\n{(usings.Length > 0 ? usings : UsingsOfParts)}\n{code}");
        var compilation =
            CSharpCompilation.Create("snippet", [tree], References, new CSharpCompilationOptions(
                OutputKind.DynamicallyLinkedLibrary,
                // Microsoft's interface of image generators is experimental.
                specificDiagnosticOptions: [new("MEAI001", ReportDiagnostic.Suppress)]));
        return compilation.GetDiagnostics().Where(diagnostic => diagnostic.Severity == DiagnosticSeverity.Error).Select(diagnostic =>
            diagnostic.ToString());
    }

    [GeneratedRegex("```csharp\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Fences();

    [GeneratedRegex(@"^using (?:static )?[\w.]+;\n", RegexOptions.Multiline)]
    private static partial Regex UsingLines();
}
