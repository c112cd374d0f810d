using System.CommandLine;
using StorySync.Samples;

namespace StorySync.Tool;

/// <summary>Says what files are.</summary>
internal static class InspectCommand
{
    public static Command Create(Option<bool> json)
    {
        var path = new Argument<string>("path")
        {
            Description = "A checkpoint, LoRA, bank or image; a model's folder or name; or a folder of such files.",
        };
        var command = new Command("inspect", "Say what a file or folder is, from its headers and configs alone.") { path };
        command.Does(json, "nothing was inspected.", (parsed, results, _, token) =>
        {
            var found = Inspection.Of(parsed.GetValue(path)!, token);
            results.Write(found, console =>
            {
                foreach (var (i, item) in found.Index())
                {
                    if (i > 0)
                    {
                        console.WriteLine();
                    }

                    Write(item, console);
                }
            });
            return Task.CompletedTask;
        });
        return command;
    }

    private static void Write(Inspection item, TextWriter console)
    {
        console.WriteLine($"{item.Path}: {item.Kind}");
        foreach (var (name, value) in item.Details)
        {
            console.WriteLine($"  {name}: {value}");
        }

        if (item.Advice is not null)
        {
            console.WriteLine($"  → {item.Advice}");
        }
    }
}
