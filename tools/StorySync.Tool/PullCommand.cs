using System.CommandLine;
using System.Globalization;
using StorySync.Documents;
using StorySync.Hub;
using StorySync.Samples;

namespace StorySync.Tool;

/// <summary>Downloads a model.</summary>
internal static class PullCommand
{
    public static Command Create(Option<bool> json)
    {
        var model = new Argument<string>("model") { Description = "organisation/name or organisation/name@revision." };
        var variant = CommandLine.Name("--variant", "Preferred variant of the weight files, such as fp16.");
        var command = new Command(
            "pull", "Download the files of a model that are read into the Hugging Face cache, resumed after a break and checked.")
        {
            model, variant,
        };
        command.Does(json, "what has arrived is kept, and the same command goes on from there.", async (parsed, results, error, token) =>
        {
            var (name, last) = (parsed.GetValue(model)!, (DownloadProgress?)null);
            var lines = new Lines(error, report => last = report);
            var folder = await ModelHub.DownloadAsync(
                name, variant: parsed.GetValue(variant), progress: lines, cancellationToken: token);
            results.Write(
                new { Model = name, Folder = folder, last?.Files, last?.Bytes },
                console => console.WriteLine(last is null ? $"{name} is in {folder}"
                    : $"{name} is in {folder}: {English.Count(last.Files, "file")}, {ProcessMemory.Size(last.Bytes)}"));
        });
        return command;
    }

    /// <summary>Writes a line for each file that is there, and for each twentieth of the bytes.</summary>
    private sealed class Lines(TextWriter error, Action<DownloadProgress> keep) : IProgress<DownloadProgress>
    {
        private DownloadProgress? written;

        public void Report(DownloadProgress value)
        {
            keep(value);
            if (written is null || value.CompletedFiles > written.CompletedFiles || value.Bytes != written.Bytes
                || value.CompletedBytes - written.CompletedBytes >= value.Bytes / 20)
            {
                written = value;
                error.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{value.CompletedFiles} of {value.Files} files, {value.CompletedBytes / 1e6:f1} of {value.Bytes / 1e6:f1} MB: {value.File}"));
            }
        }
    }
}
