using System.Text.Json.Serialization;

namespace StorySync.Pipelines;

/// <summary>Represents something that a generation did other than its caller may think.</summary>
/// <param name="Code">What kind of thing it is.</param>
/// <param name="Message">What it is: the option or prompt, what happened, and what to do.</param>
public sealed record GenerationWarning(GenerationWarningCode Code, string Message);

/// <summary>Specifies the kinds of warnings.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<GenerationWarningCode>))]
public enum GenerationWarningCode
{
    /// <summary>A prompt was too long; the message has the part that was cut.</summary>
    PromptTruncated,

    /// <summary>An option was set that has no effect together with the others or on this model.</summary>
    OptionWithoutEffect,

    /// <summary>A pattern of layers matches none of the model's.</summary>
    LayerPatternWithoutMatch,

    /// <summary>A scene's image has no place where its subject was found.</summary>
    SubjectNotFound,

    /// <summary>The scheduler has other noise levels than the model was trained with.</summary>
    SchedulerMismatch,

    /// <summary>A prompt has weights in brackets, which are read as text.</summary>
    PromptWeightsAsText,

    /// <summary>A preset was chosen by what the model's folder says.</summary>
    PresetChosen,
}
