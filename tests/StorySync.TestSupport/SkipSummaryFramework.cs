using System.Reflection;
using Xunit.Sdk;
using Xunit.v3;

namespace StorySync.TestSupport;

/// <summary>Runs tests as xUnit.net does, but tells <c>dotnet test</c> in one line of all that are skipped without reference data: it
/// prints a line for each skipped test, which hides what else is skipped. Elsewhere, as in an editor, each of them is shown.</summary>
/// <param name="configFileName">The file of xUnit.net's settings; null for the default.</param>
public sealed class SkipSummaryFramework(string? configFileName) : XunitTestFramework(configFileName)
{
    private readonly string? configFileName = configFileName;

    private static bool IsCommandLine => Environment.GetCommandLineArgs().Contains("dotnettestcli");

    protected override ITestFrameworkExecutor CreateExecutor(Assembly assembly)
    {
        ArgumentNullException.ThrowIfNull(assembly);
        return new Executor(new XunitTestAssembly(assembly, configFileName, version: assembly.GetName().Version));
    }

    private sealed class Executor(IXunitTestAssembly assembly) : XunitTestFrameworkExecutor(assembly)
    {
        public override ValueTask RunTestCases(
            IReadOnlyCollection<IXunitTestCase> testCases, IMessageSink executionMessageSink,
            ITestFrameworkExecutionOptions executionOptions, CancellationToken cancellationToken) =>
            base.RunTestCases(
                testCases, IsCommandLine ? new SkipSummarySink(executionMessageSink) : executionMessageSink, executionOptions,
                cancellationToken);
    }
}
