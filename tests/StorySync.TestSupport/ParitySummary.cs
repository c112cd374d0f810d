namespace StorySync.TestSupport;

/// <summary>Tells, when a test assembly is through, how many cases of the reference ran and how near they came to their tolerance, and what
/// was skipped: on the console, and in <c>parity.txt</c> next to the tests. Use it as an assembly fixture.</summary>
public sealed class ParitySummary : IDisposable
{
    public void Dispose()
    {
        var summary = Comparison.Summary();
        File.WriteAllText(Path.Combine(AppContext.BaseDirectory, "parity.txt"), summary + Environment.NewLine);
        Console.WriteLine(summary);
        if (ReferenceData.SkippedSummary() is { } skipped)
        {
            Console.WriteLine(skipped);
        }
    }
}
