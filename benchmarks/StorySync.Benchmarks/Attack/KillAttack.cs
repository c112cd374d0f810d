using System.Globalization;

namespace StorySync.Benchmarks.Attack;

/// <summary>A process is killed while it writes files over and over: each is there whole, in the older version or the newer.</summary>
internal sealed class KillAttack : IAttack
{
    public const string Name = "kill";
    private const int Versions = 100;
    private const double LongestDelay = 150;

    public string Input { get; private set; } = "";

    public string Try(int index, Random random)
    {
        var delay = TimeSpan.FromMilliseconds(LongestDelay * random.NextDouble());
        Input = string.Create(CultureInfo.InvariantCulture, $"killed after {delay.TotalMilliseconds:f2} ms");
        using var folder = new TemporaryFolder();
        using var process = OwnProcess.StartVictim(Name, folder.Path);
        using (var output = process.StandardOutput)
        {
            Ending.Require(output.ReadLine() is not null, "The process did not begin.");
            Thread.Sleep(delay);
            process.Kill();
            process.WaitForExit();
        }

        return Outputs.Check(folder.Path) == 0 ? "whole" : "whole, and a temporary file";
    }

    public void Dispose()
    {
    }

    /// <summary>What happens in the other process.</summary>
    public static int Suffer(string folder)
    {
        Outputs.Write(folder, 1);
        Console.WriteLine("ready");
        for (var version = 2; ; version = 1 + (version % Versions))
        {
            Outputs.Write(folder, version);
        }
    }
}
