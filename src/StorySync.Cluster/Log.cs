using Microsoft.Extensions.Logging;

namespace StorySync.Cluster;

/// <summary>What is written to the log.</summary>
internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Error, "Story {Story} has scenes that could not be drawn: {Error}")]
    public static partial void Failed(ILogger logger, string story, string error);

    [LoggerMessage(2, LogLevel.Warning, "Job {Job} of story {Story} failed.")]
    public static partial void Fails(ILogger logger, Exception exception, string story, int job);

    [LoggerMessage(3, LogLevel.Warning, "The cluster cannot be reached; the worker tries again.")]
    public static partial void Unreachable(ILogger logger, Exception exception);

    [LoggerMessage(4, LogLevel.Debug, "Job {Job} of story {Story} begins.")]
    public static partial void Begins(ILogger logger, string story, int job);

    [LoggerMessage(5, LogLevel.Information, "Job {Job} of story {Story} was left: it was canceled, or its time was up.")]
    public static partial void Left(ILogger logger, string story, int job);
}
