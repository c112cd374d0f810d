using StorySync.Documents;

namespace StorySync.Samples;

/// <summary>The exception that is thrown for a mistake of the user's; its message is one line that names the option or the place in a
/// file.</summary>
internal sealed class UserErrorException(string message, Exception? inner = null) : DocumentException(message, inner);
