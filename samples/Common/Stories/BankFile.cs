using StorySync.Documents;
using StorySync.Pipelines;

namespace StorySync.Samples;

/// <summary>The files that keep a story's anchors.</summary>
internal static class BankFile
{
    /// <summary>Reads a bank.</summary>
    /// <param name="path">The file, or the name of a character; null for none.</param>
    /// <returns>The bank, for the caller to dispose; null where no file is given.</returns>
    /// <exception cref="UserErrorException">The file is missing, damaged or no bank.</exception>
    public static StoryBank? Load(string? path)
    {
        if (path is null)
        {
            return null;
        }

        path = Characters.Find(path);
        RegularFile.Check(path, "story bank", long.MaxValue);
        try
        {
            return StoryBank.Load(path);
        }
        catch (IOException exception)
        {
            var fault = exception.Message.Replace($"{path}: ", "", StringComparison.Ordinal);
            throw new UserErrorException($"--bank is '{path}', which is not a story bank that can be read: {fault}", exception);
        }
    }

    /// <summary>Tries, before the work, whether a bank can be written.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="UserErrorException">It cannot.</exception>
    public static void CheckWritable(string path)
    {
        if (Directory.Exists(path))
        {
            throw new UserErrorException($"--save-bank is '{path}', which is a folder; give a file in it a name.");
        }

        if (File.Exists(path))
        {
            CheckReplaceable(path);
        }

        _ = OutputFolder.Open("--save-bank", Path.GetDirectoryName(Path.GetFullPath(path))!);
    }

    /// <summary>Refuses pipes and devices, which have no length and cannot be cut to none.</summary>
    private static void CheckReplaceable(string path)
    {
        try
        {
            using var handle = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
            if (RandomAccess.GetLength(handle) == 0)
            {
                RandomAccess.SetLength(handle, 0);
            }
        }
        catch (Exception exception) when (
            exception is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new UserErrorException($"--save-bank is '{path}', which cannot be replaced by a file.", exception);
        }
    }

    /// <summary>Writes a bank.</summary>
    /// <exception cref="UserErrorException">It cannot be written.</exception>
    public static void Save(StoryBank bank, string path)
    {
        try
        {
            bank.Save(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"--save-bank: {exception.Message}", exception);
        }
    }
}
