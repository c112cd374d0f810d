using System.CommandLine;
using BenchmarkDotNet.Running;
using StorySync.Benchmarks;
using StorySync.Benchmarks.Attack;
using StorySync.Benchmarks.DeviceCheck;
using StorySync.Benchmarks.Load;
using StorySync.Benchmarks.Scale;

var micro = new Command("micro", "Small things, by BenchmarkDotNet, which takes the rest of the line: --filter '*Name*', --list flat.")
{
    TreatUnmatchedTokensAsErrors = false,
};
micro.SetAction(parsed => BenchmarkSwitcher.FromAssembly(typeof(SafetensorsBenchmarks).Assembly).Run([.. parsed.UnmatchedTokens]));

var command = new RootCommand("How fast StorySync is and how much memory it takes.")
{
    SharedAttentionBenchmark.Command(),
    SafetensorsRun.Command(),
    FluxSmall.Command(),
    FluxGguf.Command(),
    ModelRuns.UNet(),
    ModelRuns.Kandinsky3(),
    ModelRuns.VaeDecode(),
    ModelRuns.Pipeline(),
    ModelRuns.Story(),
    BankRuns.Command(),
    ModelRuns.Load(),
    ComparisonTable.Command(),
    Approximations.Command(),
    Quantization.Command(),
    DeviceCheckCommand.Create(),
    AttackCommand.Create(),
    LoadCommand.Create(),
    ScaleCommand.Command(),
    SiloRuns.Command(),
    micro,
};
foreach (var own in OwnProcess.Commands())
{
    command.Add(own);
}

try
{
    return command.Parse(args).Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (Exception exception) when (
    exception is ArgumentException or IOException or InvalidDataException or UnauthorizedAccessException or NotSupportedException)
{
    Console.Error.WriteLine(exception.Message);
    return 1;
}
