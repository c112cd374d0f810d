using System.Net;

namespace StorySync.Hub;

/// <summary>The exception that is thrown when a model could not be downloaded. The message says what was found, what was expected and what
/// to do.</summary>
public sealed class ModelHubException : IOException
{
    /// <summary>Initializes a new instance of the <see cref="ModelHubException"/> class.</summary>
    /// <param name="message">What happened and what to do.</param>
    /// <param name="statusCode">The status that the server answered with; null where it is not what stopped the download.</param>
    /// <param name="innerException">What made it known.</param>
    public ModelHubException(string message, HttpStatusCode? statusCode = null, Exception? innerException = null)
        : base(message, innerException)
    {
        StatusCode = statusCode;
    }

    /// <summary>Gets the status that the server answered with; null where it is not what stopped the download.</summary>
    public HttpStatusCode? StatusCode { get; }
}
