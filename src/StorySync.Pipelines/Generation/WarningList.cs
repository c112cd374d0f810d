using Microsoft.Extensions.Logging;

namespace StorySync.Pipelines;

/// <summary>The warnings of a generation or of a loading: they go into the result and to the logger.</summary>
/// <param name="logger">The logger; null for none.</param>
internal sealed partial class WarningList(ILogger? logger)
{
    private readonly List<GenerationWarning> list = [];

    public IReadOnlyList<GenerationWarning> List => list;

    /// <summary>Adds a warning, once.</summary>
    public void Add(GenerationWarningCode code, string message)
    {
        var warning = new GenerationWarning(code, message);
        if (list.Contains(warning))
        {
            return;
        }

        list.Add(warning);
        if (logger is not null)
        {
            Log(logger, code, message);
        }
    }

    /// <summary>Adds a warning for an option without effect.</summary>
    public void AddIf(bool holds, string message)
    {
        if (holds)
        {
            Add(GenerationWarningCode.OptionWithoutEffect, message);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Code}: {Text}")]
    private static partial void Log(ILogger logger, GenerationWarningCode code, string text);
}
