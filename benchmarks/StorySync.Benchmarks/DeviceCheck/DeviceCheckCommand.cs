using System.CommandLine;
using System.Globalization;
using TorchSharp;

namespace StorySync.Benchmarks.DeviceCheck;

/// <summary>Checks the library on a device: a table on the console, and the same in a file.</summary>
internal static class DeviceCheckCommand
{
    private static readonly (string Name, Action<DeviceCheckRun> Work)[] Parts =
    [
        ("abi", AbiPart.Run),
        ("parity", ParityPart.Run),
        ("options", OptionsPart.Run),
        ("trips", TripsPart.Run),
        ("soak", SoakPart.Run),
        ("speed", SpeedPart.Run),
    ];

    public static Command Create()
    {
        var names = Parts.Select(part => part.Name).ToArray();
        var parts = new Option<string[]>("--parts")
        {
            Description = $"Which parts to run, in this order ({string.Join(", ", names)}); all by default.",
            AllowMultipleArgumentsPerToken = true,
            DefaultValueFactory = _ => names,
        };
        parts.AcceptOnlyFromAmong(names);
        var device = new Option<string>("--device") { DefaultValueFactory = _ =>
            "cuda", Description = "cuda, or cpu to try the check itself." };
        device.AcceptOnlyFromAmong("cuda", "cpu");
        var small = new Option<bool>("--small") { Description = "Few steps and small models." };
        var minutes = new Option<double>("--minutes") { DefaultValueFactory = _ => 9, Description = "When to stop, whatever is left." };
        var only = new Option<string?>("--only") { Description = "Only rows whose names contain one of these, separated by commas." };
        var models = new Option<DirectoryInfo?>("--models") { Description =
            "A folder of tiny models of all architectures; without it the embedded model is checked alone." };
        var report = new Option<FileInfo?>("--report") { Description = "The file to write; benchmarks/results/DATE-DEVICE.md by default." };
        var command = new Command("device-check", "Whether and how fast the library runs on a device.") { parts, device, small, minutes,
            only, models, report };
        command.SetAction(parsed =>
        {
            var file = parsed.GetValue(report)?.FullName ?? Path.Combine(
                "benchmarks", "results",
                    $"{DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)}-{parsed.GetValue(device)}.md");
            using var run =
                new DeviceCheckRun(parsed.GetValue(device)!, parsed.GetValue(small), TimeSpan.FromMinutes(parsed.GetValue(minutes)), file)
            {
                Only = parsed.GetValue(only),
                Models = parsed.GetValue(models)?.FullName,
            };
            foreach (var name in parsed.GetValue(parts)!)
            {
                run.Part(name, Parts.Single(part => part.Name == name).Work);
            }

            return run.Failures == 0 ? 0 : 1;
        });
        return command;
    }
}
