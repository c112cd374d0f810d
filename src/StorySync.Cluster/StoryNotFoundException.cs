namespace StorySync.Cluster;

/// <summary>The exception that is thrown when there is no such story, or not that part of it (yet). A web application answers with status
/// 404.</summary>
public class StoryNotFoundException : InvalidOperationException
{
    /// <summary>Initializes a new instance of the <see cref="StoryNotFoundException"/> class.</summary>
    public StoryNotFoundException()
        : base("There is no such story.")
    {
    }

    /// <summary>Initializes a new instance of the <see cref="StoryNotFoundException"/> class.</summary>
    /// <param name="message">What there is not.</param>
    public StoryNotFoundException(string message)
        : base(message)
    {
    }

    /// <summary>Initializes a new instance of the <see cref="StoryNotFoundException"/> class.</summary>
    /// <param name="message">What there is not.</param>
    /// <param name="innerException">What made it known.</param>
    public StoryNotFoundException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
