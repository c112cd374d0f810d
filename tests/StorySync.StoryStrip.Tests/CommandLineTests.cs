using System.CommandLine;
using System.Runtime.InteropServices;
using StorySync.Documents;
using StorySync.Samples;
using StorySync.TestSupport;

namespace StorySync.StoryStrip.Tests;

/// <summary>What the sample programs have in common.</summary>
public sealed class CommandLineTests
{
    [Fact]
    public async Task The_signal_of_a_file_that_grows_too_large_does_not_end_the_process()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The signal has this number on Linux.");
        const int fileSizeExceeded = 25;
        Assert.Equal((0, ""), await Run(() => _ = Kill(Environment.ProcessId, fileSizeExceeded)));
    }

    [Theory]
    [InlineData("an option is invalid (Parameter 'steps')", "an option is invalid")]
    [InlineData("The phrase (Parameter 'phrase') is missing.\nAnother line", "The phrase is missing. Another line")]
    public async Task Any_exception_becomes_one_line_of_its_words(string message, string expected)
    {
        Assert.Equal((1, expected), await Run(() => throw new InvalidOperationException(message)));
        Assert.Equal((1, expected), await Run(() => throw new TypeInitializationException("torch", new NotSupportedException(message))));
    }

    [Fact]
    public async Task Cancelling_is_no_error() =>
        Assert.Equal((130, "Canceled; nothing was written."), await Run(() => throw new OperationCanceledException()));

    [Fact]
    public void A_file_that_cannot_be_written_is_named_by_its_own_name()
    {
        using var folder = new TemporaryFolder();
        var output = OutputFolder.Open("--output", folder.Path);
        Directory.CreateDirectory(folder.PathOf("strip.png"));
        var message = Assert.Throws<UserErrorException>(() => output.Write("strip.png", [1, 2, 3])).Message;
        Assert.StartsWith($"'{folder.PathOf("strip.png")}' cannot be written: ", message);
        Assert.DoesNotContain("/.", message);
        Assert.Equal(["strip.png"], Directory.EnumerateFileSystemEntries(folder.Path).Select(Path.GetFileName));
    }

    [Theory]
    [InlineData(0, "scene", "0 scenes")]
    [InlineData(1, "scene", "1 scene")]
    [InlineData(2, "story", "2 stories")]
    [InlineData(1, "story", "1 story")]
    public void Counts_are_in_English(int count, string noun, string expected) => Assert.Equal(expected, English.Count(count, noun));

    private static async Task<(int Code, string Error)> Run(Action work)
    {
        var command = new RootCommand("a test");
        command.SetAction((parsed, _) => CommandLine.GuardedAsync(parsed.InvocationConfiguration.Error, "nothing was written.", () =>
        {
            work();
            return Task.CompletedTask;
        }));
        using var error = new StringWriter();
        var code = await CommandLine.InvokeAsync(command, [], TextWriter.Null, error, TestContext.Current.CancellationToken);
        return (code, error.ToString().TrimEnd());
    }

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int Kill(int process, int signal);
}
