using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using StorySync.Benchmarks.Attack;

namespace StorySync.Benchmarks;

/// <summary>This program in another process, which may end in any way.</summary>
internal static class OwnProcess
{
    private const string Worker = "attack-worker";
    private const string Victim = "attack-victim";

    /// <summary>The commands by which the program calls itself.</summary>
    public static IEnumerable<Command> Commands()
    {
        yield return Hidden(Worker, words => AttackWorker.Run(words));
        yield return Hidden(Victim, words => words[0] switch
        {
            MappedAttack.Name => MappedAttack.Suffer(words),
            KillAttack.Name => KillAttack.Suffer(words[1]),
            _ => DiskAttack.Suffer(words),
        });
    }

    public static Process StartWorker(params string[] words) => Start([], [Worker, .. words]);

    public static Process StartVictim(params string[] words) => Start([], [Victim, .. words]);

    /// <summary>Starts a victim as the last words of a shell's command line.</summary>
    public static Process StartVictimIn(string[] shell, params string[] words) => Start(shell, [Victim, .. words]);

    /// <summary>Starts a command of this program.</summary>
    public static Process Start(params string[] words) => Start([], words);

    /// <summary>Waits until a process ends.</summary>
    public static (int Code, string Output, string Errors) Await(Process process)
    {
        using var output = process.StandardOutput;
        using var errors = process.StandardError;
        var error = errors.ReadToEndAsync();
        var text = output.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, text.Trim(), error.Result);
    }

    /// <summary>How a process ended that was not asked to.</summary>
    public static string Ended(int code) => code switch
    {
        128 + 6 or 134 => "SIGABRT",
        128 + 7 => "SIGBUS",
        128 + 9 => "SIGKILL",
        128 + 11 => "SIGSEGV",
        128 + 25 => "SIGXFSZ",
        _ => string.Create(CultureInfo.InvariantCulture, $"exit code {code}"),
    };

    private static Process Start(string[] before, string[] words)
    {
        var program = Environment.ProcessPath!;
        string[] line = Path.GetFileNameWithoutExtension(program) == "dotnet" ? [program, typeof(OwnProcess).Assembly.Location] : [program];
        line = [.. before, .. line, .. words];
        var start = new ProcessStartInfo(line[0], line[1..]) { RedirectStandardOutput = true, RedirectStandardError = true };

        // A process that is ended writes no dump, which takes seconds.
        start.Environment["DOTNET_DbgEnableMiniDump"] = "0";
        return Process.Start(start)!;
    }

    private static Command Hidden(string name, Func<string[], int> work)
    {
        var words = new Argument<string[]>("words");
        var command = new Command(name) { Hidden = true };
        command.Add(words);
        command.SetAction(parsed => work(parsed.GetValue(words)!));
        return command;
    }
}
