namespace StorySync.Extensions;

/// <summary>The exception that is thrown when the maximum number of requests already waits for a device (<see
/// cref="StorySyncModelOptions.MaxWaiting"/>). The same request can succeed later; a web application answers with status 503.</summary>
public class QueueFullException : InvalidOperationException
{
    /// <summary>Initializes a new instance of the <see cref="QueueFullException"/> class.</summary>
    public QueueFullException()
        : base("The queue is full.")
    {
    }

    /// <summary>Initializes a new instance of the <see cref="QueueFullException"/> class.</summary>
    /// <param name="message">What is full.</param>
    public QueueFullException(string message)
        : base(message)
    {
    }

    /// <summary>Initializes a new instance of the <see cref="QueueFullException"/> class.</summary>
    /// <param name="message">What is full.</param>
    /// <param name="innerException">What made it known.</param>
    public QueueFullException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
