using System.CommandLine;
using System.Globalization;

namespace StorySync.Benchmarks.Scale;

/// <summary>A cluster of any size, simulated: what its workers wait for.</summary>
internal static class ScaleCommand
{
    public static Command Command()
    {
        var scene = Number("--scene-seconds", 5.6, "Seconds of a scene.");
        var anchors = Number("--anchors-seconds", 3.7, "Seconds of a story's two anchors.");
        var bank = Number("--bank-megabytes", 20, "Megabytes of a bank.");
        var folder = Number("--folder-megabytes", 1250, "Megabytes that the shared folder gives in a second.");
        var call = Number("--call-microseconds", 100, "Microseconds that the queue's grain takes for a call.");
        var stories = Number("--stories", 2, "Stories for each worker.");
        var scenes = PositiveOption.Create("--scenes", 12, "Scenes of a story, two of them anchors.");
        var turn = PositiveOption.Create("--turn", 4, "Jobs of a story that a worker takes before the next story has its turn.");
        var command = new Command(
            "scale", "The queue of StorySync.Cluster with 1, 10, 100 and 1,000 simulated workers: what they draw, read and wait for.")
        {
            scene, anchors, bank, folder, call, stories, scenes, turn,
        };
        command.SetAction(parsed =>
        {
            Console.WriteLine("| workers | scenes per second | drawing | banks read, MB/s | folder busy | queue busy | limit |");
            Console.WriteLine("|---|---|---|---|---|---|---|");
            foreach (var workers in (int[])[1, 10, 100, 1000])
            {
                var outcome = QueueSimulation.Run(new QueueSetting
                {
                    Workers = workers,
                    Stories = (int)Math.Ceiling(workers * parsed.GetValue(stories)),
                    Scenes = parsed.GetValue(scenes),
                    Anchors = 2,
                    SceneSeconds = parsed.GetValue(scene),
                    AnchorsSeconds = parsed.GetValue(anchors),
                    BankBytes = parsed.GetValue(bank) * 1e6,
                    BytesPerSecond = parsed.GetValue(folder) * 1e6,
                    CallSeconds = parsed.GetValue(call) * 1e-6,
                    JobsOfTurn = parsed.GetValue(turn),
                    Banks = 4,
                    Seconds = 300 * Math.Max(parsed.GetValue(scene), parsed.GetValue(bank) / parsed.GetValue(folder)),
                    Seed = 1,
                });
                Console.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"| {workers:n0} | {outcome.ScenesPerSecond:g3} | {outcome.Utilization:p0} | {outcome.BankBytesPerSecond / 1e6:n1} | "
                    + $"{outcome.FolderBusy:p0} | {outcome.QueueBusy:p1} | {outcome.Bottleneck} |"));
            }
        });
        return command;
    }

    private static Option<double> Number(string name, double value, string description)
    {
        var option = new Option<double>(name) { DefaultValueFactory = _ => value, Description = description };
        option.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<double>() is not > 0)
            {
                result.AddError($"{name} must be above 0.");
            }
        });
        return option;
    }
}
