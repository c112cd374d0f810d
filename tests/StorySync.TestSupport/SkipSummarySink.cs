using Xunit.Sdk;
using Xunit.v3;

namespace StorySync.TestSupport;

/// <summary>Passes on the messages of a test program, without those that are skipped without reference data: the first of them
/// is reported at the end, and says how many they are.</summary>
/// <param name="inner">The receiver.</param>
public sealed class SkipSummarySink(IMessageSink inner) : IMessageSink
{
    private readonly Lock gate = new();
    private readonly List<IMessageSinkMessage> ends = [];
    private ITestSkipped? first;
    private int others;

    public bool OnMessage(IMessageSinkMessage message)
    {
        lock (gate)
        {
            switch (message)
            {
                case ITestSkipped skipped when ReferenceData.IsMissing(skipped.Reason):
                    (first, others) = (first ?? skipped, first is null ? 0 : others + 1);
                    return true;

                // Its name is forgotten with its end.
                case ITestFinished or ITestCaseFinished when ((ITestCaseMessage)message).TestCaseUniqueID == first?.TestCaseUniqueID:
                    ends.Add(message);
                    return true;

                case ITestAssemblyFinished when first is not null:
                    inner.OnMessage(Summary(first));
                    ends.ForEach(end => inner.OnMessage(end));
                    break;
            }

            return inner.OnMessage(message);
        }
    }

    private TestSkipped Summary(ITestSkipped test) => new()
    {
        AssemblyUniqueID = test.AssemblyUniqueID,
        ExecutionTime = test.ExecutionTime,
        FinishTime = test.FinishTime,
        Output = test.Output,
        Reason = ReferenceData.SkippedSummary(others + 1),
        TestCaseUniqueID = test.TestCaseUniqueID,
        TestClassUniqueID = test.TestClassUniqueID,
        TestCollectionUniqueID = test.TestCollectionUniqueID,
        TestMethodUniqueID = test.TestMethodUniqueID,
        TestUniqueID = test.TestUniqueID,
        Warnings = test.Warnings,
    };
}
