using StorySync.Diffusion.Weights;
using StorySync.Pipelines;

namespace StorySync.Benchmarks.Attack;

/// <summary>How cases may end.</summary>
internal static class Ending
{
    /// <summary>Runs a case; an exception of a documented type is one of its right ends.</summary>
    public static string Of(Func<string> work, Func<Exception, bool> isDocumented)
    {
        try
        {
            return work();
        }
        catch (Exception exception) when (isDocumented(exception))
        {
            return exception.GetType().Name;
        }
    }

    /// <summary>Whether it is the exception of a file at fault, and names one that there is or was to be.</summary>
    public static bool IsOfFile(Exception exception, string folder) =>
        exception is ModelFileException file && file.Path.StartsWith(folder, StringComparison.Ordinal)
            && file.Message.Length > file.Path.Length + ": ".Length;

    /// <summary>Whether a run may end in it that began with weights and settings which could be read.</summary>
    public static bool IsOfRun(Exception exception) => exception is NonFiniteException or InsufficientMemoryException;

    /// <summary>Fails a case.</summary>
    public static void Require(bool holds, string otherwise)
    {
        if (!holds)
        {
            throw new InvalidOperationException(otherwise);
        }
    }
}
