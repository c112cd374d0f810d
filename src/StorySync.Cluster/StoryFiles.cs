using System.Security.Cryptography;
using System.Text.Json;
using StorySync.Pipelines;

namespace StorySync.Cluster;

/// <summary>The files of stories, each story's in a folder of its own. A file's name tells all that its content depends on, so that whoever
/// writes it writes the same; it appears whole, and stays as it is.</summary>
/// <param name="root">The folder of all stories.</param>
internal sealed class StoryFiles(string root)
{
    public const string BankExtension = ".storybank";

    public const string ImageExtension = ".png";

    private const int MostDeletions = 10;

    /// <summary>Returns the name of what depends on some values alone.</summary>
    public static string NameOf(params string[] values) =>
        Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(values)));

    public string PathOf(string story, string file) => Path.Combine(root, story, file);

    public void CreateFolder(string story) => Directory.CreateDirectory(Path.Combine(root, story));

    public async Task DeleteFolderAsync(string story)
    {
        for (var tries = 1; ; tries++)
        {
            try
            {
                Directory.Delete(Path.Combine(root, story), recursive: true);
                return;
            }
            catch (DirectoryNotFoundException)
            {
                return;
            }
            catch (IOException) when (tries < MostDeletions)
            {
                // A worker that was canceled in its last line is writing.
                await Task.Delay(TimeSpan.FromMilliseconds(100));
            }
        }
    }

    /// <summary>Writes an image, unless it is there.</summary>
    public DrawnScene Write(string story, string file, RgbImage image, long seed, double? score)
    {
        var path = PathOf(story, file);
        Put(path, temporary => File.WriteAllBytes(temporary, image.EncodePng()));
        var hash = Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path)));
        return new DrawnScene { File = file, Hash = hash, Seed = seed, Score = score };
    }

    /// <summary>Writes a bank, unless it is there.</summary>
    public void Write(string story, string file, StoryBank bank) => Put(PathOf(story, file), temporary => bank.Save(temporary));

    /// <summary>Copies a bank into a story's folder.</summary>
    /// <returns>The file's name.</returns>
    public async Task<string> CopyAsync(string story, Stream bank, CancellationToken cancellationToken)
    {
        CreateFolder(story);
        var temporary = PathOf(story, Path.GetRandomFileName());
        using (var file = new FileStream(temporary, FileMode.CreateNew, FileAccess.ReadWrite))
        {
            await bank.CopyToAsync(file, cancellationToken).ConfigureAwait(false);
            file.Position = 0;
            var name = Convert.ToHexStringLower(await SHA256.HashDataAsync(file, cancellationToken).ConfigureAwait(false)) + BankExtension;
            File.Move(temporary, PathOf(story, name), overwrite: true);
            return name;
        }
    }

    private static void Put(string path, Action<string> write)
    {
        if (File.Exists(path))
        {
            return;
        }

        var temporary = $"{path}.{Path.GetRandomFileName()}";
        try
        {
            write(temporary);
            File.Move(temporary, path);
        }
        catch (IOException) when (File.Exists(path))
        {
            // Another worker was faster.
        }
        finally
        {
            File.Delete(temporary);
        }
    }
}
