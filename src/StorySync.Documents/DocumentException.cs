namespace StorySync.Documents;

/// <summary>The exception that is thrown for a fault of a document, or of a file that it names. The message is for whoever wrote the
/// document: one line that says where the fault is, what was expected, and what to do.</summary>
public class DocumentException : FormatException
{
    /// <summary>Initializes a new instance of the <see cref="DocumentException"/> class without a place.</summary>
    /// <param name="message">What is wrong.</param>
    /// <param name="innerException">The cause; null for none.</param>
    public DocumentException(string message, Exception? innerException = null)
        : base(message, innerException)
    {
    }

    /// <summary>Initializes a new instance of the <see cref="DocumentException"/> class.</summary>
    /// <param name="place">Where the fault is; the message begins with it.</param>
    /// <param name="fault">What is wrong.</param>
    /// <param name="innerException">The cause; null for none.</param>
    public DocumentException(DocumentPlace place, string fault, Exception? innerException = null)
        : base($"{place}: {fault}", innerException) => Place = place;

    /// <summary>Gets where the fault is; null where it is of the document as a whole.</summary>
    public DocumentPlace? Place { get; }
}
