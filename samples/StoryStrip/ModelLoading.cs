using StorySync.Pipelines;

namespace StorySync.Samples.StoryStrip;

/// <summary>Loads the model and says so first: reading gigabytes can take a while.</summary>
internal static class ModelLoading
{
    public static async Task<DiffusionPipeline> LoadAsync(StorySettings settings, TextWriter error, CancellationToken cancellationToken)
    {
        await error.WriteLineAsync($"Loading {settings.Model} …");
        return await DiffusionPipeline.LoadAsync(settings.Model, settings.Pipeline, cancellationToken: cancellationToken);
    }
}
