namespace StorySync.TestSupport;

/// <summary>Tells, when a test assembly is through, how many cases of the reference ran and how near they came to their tolerance: in
/// <c>parity.txt</c> next to the tests, and on the console where the tests are run without <c>dotnet test</c>, which does not show it. Use
/// it as an assembly fixture.</summary>
public sealed class ParitySummary : IDisposable
{
    public void Dispose()
    {
        var line = Comparison.Summary();
        File.WriteAllText(Path.Combine(AppContext.BaseDirectory, "parity.txt"), line + Environment.NewLine);
        Console.WriteLine(line);
    }
}
