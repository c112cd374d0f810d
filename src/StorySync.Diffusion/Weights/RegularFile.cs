namespace StorySync.Diffusion.Weights;

/// <summary>Files that have a length. Pipes and devices have none, and opening or reading them may never end.</summary>
internal static class RegularFile
{
    /// <summary>Returns the length of a file or, of a link, of the file that it leads to; 0 for pipes and devices too.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="FileNotFoundException">There is no such file, or it is a folder.</exception>
    /// <exception cref="IOException">It is a link that leads to itself.</exception>
    public static long LengthOf(string path)
    {
        var file = new FileInfo(path);

        // A link's own length is that of the path in it.
        return ((FileInfo?)file.ResolveLinkTarget(returnFinalTarget: true) ?? file).Length;
    }
}
