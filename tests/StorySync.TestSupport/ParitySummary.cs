namespace StorySync.TestSupport;

/// <summary>Tells, when a test assembly is through, how many cases of the reference ran and how near they came to their tolerance, and what
/// was skipped: in <c>parity.txt</c> next to the tests, and on the console where the tests are run without <c>dotnet test</c>, which does
/// not show it. Use it as an assembly fixture.</summary>
public sealed class ParitySummary : IDisposable
{
    public void Dispose()
    {
        string[] lines = ReferenceData.SkippedSummary() is { } skipped ? [Comparison.Summary(), skipped] : [Comparison.Summary()];
        File.WriteAllLines(Path.Combine(AppContext.BaseDirectory, "parity.txt"), lines);
        foreach (var line in lines)
        {
            Console.WriteLine(line);
        }
    }
}
