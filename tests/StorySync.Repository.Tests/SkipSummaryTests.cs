using StorySync.TestSupport;
using Xunit.Sdk;
using Xunit.v3;

namespace StorySync.Repository.Tests;

public class SkipSummaryTests
{
    private const string Missing = "The reference data has no such cases: …";

    private readonly List<IMessageSinkMessage> told = [];

    [Fact]
    public void Tests_skipped_for_want_of_reference_data_are_told_of_in_one_line()
    {
        var sink = new SkipSummarySink(new Recorder(told));
        IMessageSinkMessage[] messages =
            [Skipped(1, Missing), End(1), Skipped(2, "not on this system"), End(2), Skipped(3, Missing), End(3)];
        Assert.All(messages, message => Assert.True(sink.OnMessage(message)));
        Assert.Equal(["not on this system"], Reasons());

        sink.OnMessage(AssemblyEnd());

        Assert.Equal(2, Reasons().Count);
        Assert.StartsWith("2 tests of this program are skipped", Reasons()[1], StringComparison.Ordinal);
        Assert.Equal("1", told.OfType<ITestSkipped>().Last().TestUniqueID);
        Assert.Equal(["2", "3", "1"], told.OfType<ITestCaseFinished>().Select(end => end.TestCaseUniqueID));
        Assert.IsAssignableFrom<ITestAssemblyFinished>(told[^1]);
    }

    [Fact]
    public void Nothing_is_told_where_none_is_skipped()
    {
        var sink = new SkipSummarySink(new Recorder(told));
        sink.OnMessage(AssemblyEnd());
        Assert.IsAssignableFrom<ITestAssemblyFinished>(Assert.Single(told));
    }

    private List<string> Reasons() => [.. told.OfType<ITestSkipped>().Select(skipped => skipped.Reason)];

    private static TestSkipped Skipped(int test, string reason) => new()
    {
        AssemblyUniqueID = "a", ExecutionTime = 0, FinishTime = DateTimeOffset.UnixEpoch, Output = "", Reason = reason,
        TestCaseUniqueID = $"{test}", TestClassUniqueID = "c", TestCollectionUniqueID = "l", TestMethodUniqueID = "m",
        TestUniqueID = $"{test}", Warnings = null,
    };

    private static TestCaseFinished End(int test) => new()
    {
        AssemblyUniqueID = "a", ExecutionTime = 0, FinishTime = DateTimeOffset.UnixEpoch, TestCaseUniqueID = $"{test}",
        TestClassUniqueID = "c", TestCollectionUniqueID = "l", TestMethodUniqueID = "m", TestsFailed = 0, TestsNotRun = 0,
        TestsSkipped = 1, TestsTotal = 1,
    };

    private static TestAssemblyFinished AssemblyEnd() => new()
    {
        AssemblyUniqueID = "a", ExecutionTime = 0, FinishTime = DateTimeOffset.UnixEpoch, TestsFailed = 0, TestsNotRun = 0,
        TestsSkipped = 2, TestsTotal = 3,
    };

    private sealed class Recorder(List<IMessageSinkMessage> told) : IMessageSink
    {
        public bool OnMessage(IMessageSinkMessage message)
        {
            told.Add(message);
            return true;
        }
    }
}
