using Microsoft.Extensions.Logging;

namespace StorySync.Extensions;

/// <summary>What is written to the log.</summary>
internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Information, "{Model} is loading, for device {Device} in {Dtype}.")]
    public static partial void Loading(ILogger logger, string model, string device, string dtype);

    [LoggerMessage(2, LogLevel.Information, "{Model}: loading {Part}.")]
    public static partial void LoadingPart(ILogger logger, string model, string part);

    [LoggerMessage(3, LogLevel.Information, "{Model} is loaded on {Device}, after {Seconds:f1} s.")]
    public static partial void Loaded(ILogger logger, string model, string device, double seconds);

    [LoggerMessage(4, LogLevel.Error, "{Model} could not be loaded.")]
    public static partial void LoadingFailed(ILogger logger, Exception exception, string model);

    [LoggerMessage(5, LogLevel.Debug, "{Model}: a request waits for {Device}, where {Waiting} wait.")]
    public static partial void Waits(ILogger logger, string model, string device, int waiting);

    [LoggerMessage(6, LogLevel.Information, "{Model} has generated {Images} images in {Seconds:f1} s, after waiting for {Waited:f1} s.")]
    public static partial void Generated(ILogger logger, string model, int images, double seconds, double waited);
}
