namespace StorySync.Samples.Evaluate;

/// <summary>Watches how much memory the process holds.</summary>
internal sealed class PeakMemory : IDisposable
{
    private readonly Timer timer;
    private long peak = Environment.WorkingSet;

    public PeakMemory() => timer = new Timer(_ => peak = Math.Max(peak, Environment.WorkingSet), null, 0, period: 20);

    public double MiB => Math.Max(peak, Environment.WorkingSet) / 1024.0 / 1024;

    public void Dispose() => timer.Dispose();
}
