namespace StorySync.Pipelines;

/// <summary>The exception that is thrown when a generation's numbers become infinite or NaN, of which no image can be made.</summary>
public sealed class NonFiniteException : Exception
{
    /// <summary>Initializes a new instance of the <see cref="NonFiniteException"/> class.</summary>
    public NonFiniteException()
    {
    }

    /// <summary>Initializes a new instance of the <see cref="NonFiniteException"/> class.</summary>
    /// <param name="message">Where the numbers stopped being finite, and the likely cause.</param>
    public NonFiniteException(string message)
        : base(message)
    {
    }

    /// <summary>Initializes a new instance of the <see cref="NonFiniteException"/> class.</summary>
    /// <param name="message">Where the numbers stopped being finite, and the likely cause.</param>
    /// <param name="innerException">What it followed from.</param>
    public NonFiniteException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
