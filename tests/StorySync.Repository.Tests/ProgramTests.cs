using System.Reflection;
using System.Runtime.Loader;
using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using StorySync.TestSupport;

namespace StorySync.Repository.Tests;

/// <summary>The programs of one file: the small samples, and what templates give. All compile, and those that end by themselves run. The
/// script that checks the packages builds them as their users do.</summary>
[Collection(typeof(AloneCollection))]
public sealed partial class ProgramTests
{
    private const string WebUsings =
        "using Microsoft.AspNetCore.Builder; using Microsoft.AspNetCore.Hosting; using Microsoft.AspNetCore.Http; "
            + "using Microsoft.AspNetCore.Routing; using Microsoft.Extensions.Configuration; "
            + "using Microsoft.Extensions.DependencyInjection; using Microsoft.Extensions.Hosting; using Microsoft.Extensions.Logging;";

    public static TheoryData<string> Programs() =>
    [
        .. Repository.Files("*.cs", Repository.PathOf("samples/OneFile")).Concat(
            Repository.Files("Program.cs", Repository.PathOf("templates/content"))).Select(Repository.Relative),
    ];

    [Theory]
    [MemberData(nameof(Programs))]
    public void A_program_compiles(string program) => Assert.Empty(Compile(program).GetDiagnostics()
        .Where(diagnostic => diagnostic.Severity == DiagnosticSeverity.Error).Select(diagnostic => diagnostic.ToString()));

    /// <summary>A sample is one idea: what does not fit on a screen is another one.</summary>
    [Fact]
    public void A_sample_is_short() => Assert.All(
        Repository.Files("*.cs", Repository.PathOf("samples/OneFile")),
        path => Assert.InRange(File.ReadLines(path).Count(line => line.Length > 0 && line[0] is not '#'), 5, 25));

    [Theory]
    [InlineData("samples/OneFile/hello.cs", "hello.png")]
    [InlineData("samples/OneFile/image.cs", "cat-7.png", "cat-8.png")]
    [InlineData("samples/OneFile/story.cs", "scene-1.png", "scene-2.png", "scene-3.png")]
    [InlineData("samples/OneFile/bank.cs", "frog.storybank", "frog-in-the-snow.png")]
    [InlineData("samples/OneFile/image-to-image.cs", "day.png", "night.png")]
    [InlineData("samples/OneFile/scheduler.cs", "bear.png")]
    [InlineData("templates/content/console/Program.cs", "scene-1.png", "scene-2.png", "scene-3.png")]
    public void A_program_runs(string program, params string[] expected)
    {
        using var folder = new TemporaryFolder();
        using var image = new MemoryStream();
        Assert.True(Compile(program).Emit(image).Success);
        image.Position = 0;
        var context = new AssemblyLoadContext(program, isCollectible: true);
        var (before, output) = (Environment.CurrentDirectory, Console.Out);
        try
        {
            Environment.CurrentDirectory = folder.Path;
            Console.SetOut(TextWriter.Null);
            string[] arguments = program.EndsWith("scheduler.cs", StringComparison.Ordinal) ? [] : ["2"];
            context.LoadFromStream(image).EntryPoint!.Invoke(null, BindingFlags.DoNotWrapExceptions, null, [arguments], null);
        }
        finally
        {
            Console.SetOut(output);
            Environment.CurrentDirectory = before;
            context.Unload();
        }

        Assert.Equal(expected.Order(), Directory.EnumerateFiles(folder.Path).Select(path => Path.GetFileName(path)).Order());
    }

    private static CSharpCompilation Compile(string program)
    {
        var text = File.ReadAllText(Repository.PathOf(program));
        var isWeb = text.Contains("WebApplication", StringComparison.Ordinal);
        var code = Directive().Replace(text, "");
        var parsed = CSharpSyntaxTree.ParseText(code, path: program);
        var usings = CSharpSyntaxTree.ParseText(
            Global().Replace($"{SnippetTests.ImplicitUsings} {(isWeb ? WebUsings : "")}", "global using "));
        return CSharpCompilation.Create(
            Path.GetFileNameWithoutExtension(program), [usings, parsed], SnippetTests.References,
            new CSharpCompilationOptions(OutputKind.ConsoleApplication, nullableContextOptions: NullableContextOptions.Enable));
    }

    /// <summary>What is meant for the SDK and not for the compiler.</summary>
    [GeneratedRegex(@"^#:.*$", RegexOptions.Multiline)]
    private static partial Regex Directive();

    [GeneratedRegex(@"\busing ")]
    private static partial Regex Global();
}
