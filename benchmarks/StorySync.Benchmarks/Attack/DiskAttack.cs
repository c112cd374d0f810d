using System.Globalization;
using System.Runtime.InteropServices;

namespace StorySync.Benchmarks.Attack;

/// <summary>The disk is full, or files may be no larger: the exception names the file, what was there stays, and nothing else is left. The
/// disk is a small one in memory, in a namespace of the process's own; where the system allows none, files are limited alone.</summary>
internal sealed class DiskAttack : IAttack
{
    public const string Name = "disk";
    private const string Full = "full";
    private const string Limited = "limited";
    private const int FileSize = 1;
    private const int Larger = 200;
    private const PosixSignal FileSizeExceeded = (PosixSignal)25;
    private static readonly string[] Shell =
        ["unshare", "-Urm", "sh", "-c", "mount -t tmpfs -o size=\"$0\" none \"$1\" && shift && exec \"$@\""];

    public string Input { get; private set; } = "";

    public string Try(int index, Random random)
    {
        if (!OperatingSystem.IsLinux())
        {
            return "not tried: Linux alone";
        }

        var (kind, bytes) = (random.Next(Outputs.Kinds), random.Next(20, 120) << 10);
        var how = index % 2 == 0 ? Full : Limited;
        Input = $"kind {kind}, {how} at {bytes} bytes";
        using var folder = new TemporaryFolder();
        string[] words = [Name, folder.Path, how, Text(kind), Text(bytes)];
        using var process = how == Limited ? OwnProcess.StartVictim(words)
            : OwnProcess.StartVictimIn([.. Shell, Text(bytes), folder.Path], words);
        var (code, output, errors) = OwnProcess.Await(process);
        if (errors.StartsWith("unshare", StringComparison.Ordinal) || errors.StartsWith("mount", StringComparison.Ordinal))
        {
            return "not tried: no disk of its own";
        }

        Ending.Require(code == 0, $"{OwnProcess.Ended(code)}: {output} {errors}");
        return $"{how}: {output}";
    }

    public void Dispose()
    {
    }

    /// <summary>What happens in the other process.</summary>
    public static int Suffer(string[] words)
    {
        var (folder, how) = (words[1], words[2]);
        var (kind, bytes) = (int.Parse(words[3], CultureInfo.InvariantCulture), int.Parse(words[4], CultureInfo.InvariantCulture));
        Outputs.Write(folder, 1);
        using var signal = PosixSignalRegistration.Create(FileSizeExceeded, context => context.Cancel = true);
        if (how == Limited)
        {
            var limit = new Limit((nuint)bytes, (nuint)bytes);
            Ending.Require(SetLimit(FileSize, limit) == 0, "The size of files cannot be limited.");
        }

        var ending = Ending.Of(
            () =>
            {
                Outputs.Write(folder, kind, Larger);
                return "written";
            },
            exception => exception is IOException && exception.Message.Contains(folder, StringComparison.Ordinal));
        Ending.Require(Outputs.Check(folder) == 0, "A temporary file is left.");
        Console.WriteLine(ending);
        return 0;
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    [DllImport("libc", EntryPoint = "setrlimit")]
    private static extern int SetLimit(int resource, in Limit limit);

    private readonly record struct Limit(nuint Soft, nuint Hard);
}
