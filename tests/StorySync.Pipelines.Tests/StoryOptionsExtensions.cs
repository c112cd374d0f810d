namespace StorySync.Pipelines.Tests;

internal static class StoryOptionsExtensions
{
    /// <summary>The options with other settings of the scenes' request.</summary>
    public static StoryOptions With(this StoryOptions options, Func<GenerationRequest, GenerationRequest> change) =>
        options with { Request = change(options.Request ?? new()) };
}
