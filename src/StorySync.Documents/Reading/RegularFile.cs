namespace StorySync.Documents;

/// <summary>Files that a program reads.</summary>
internal static class RegularFile
{
    /// <summary>Refuses what is not a file with content: a missing one, a folder, and pipes and devices, which have no length and whose
    /// reading
    /// may never end.</summary>
    /// <param name="path">The file.</param>
    /// <param name="what">What it should be, for the message: "story".</param>
    /// <param name="largest">The largest size in bytes.</param>
    /// <exception cref="DocumentException">There is no such file.</exception>
    public static void Check(string path, string what, long largest)
    {
        if (Directory.Exists(path))
        {
            throw new DocumentException($"'{path}' is a folder; {English.A(what)} is a file.");
        }

        long length;
        try
        {
            length = LengthOf(path);
        }
        catch (IOException exception)
        {
            throw new DocumentException($"There is no {what} '{path}'.", exception);
        }

        if (length == 0)
        {
            throw new DocumentException($"'{path}' is empty or not a regular file; {English.A(what)} was expected.");
        }

        if (length > largest)
        {
            throw new DocumentException($"'{path}' has {length} bytes; {English.A(what)} has at most {largest}.");
        }
    }

    /// <summary>Of a link, the length of the file that it leads to: its own is that of the path in it.</summary>
    private static long LengthOf(string path) =>
        ((FileInfo?)new FileInfo(path).ResolveLinkTarget(returnFinalTarget: true) ?? new FileInfo(path)).Length;
}
