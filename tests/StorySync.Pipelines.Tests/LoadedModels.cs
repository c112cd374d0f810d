using StorySync.TestSupport;

namespace StorySync.Pipelines.Tests;

/// <summary>Models that the tests of a class share, each loaded once with each set of options. A test that changes a model undoes
/// it.</summary>
public sealed class LoadedModels : IDisposable
{
    public const string Embedded = "storybook";
    public const string OwnForm = "SDXL's own form";

    private readonly Dictionary<(string Model, PipelineOptions Options), DiffusionPipeline> loaded = [];
    private SdxlForm? form;

    /// <summary>Gets a model on the CPU: one that is a package, SDXL's own form or one of the reference's.</summary>
    public DiffusionPipeline Get(string model, PipelineOptions? options = null)
    {
        if (!loaded.TryGetValue((model, options ?? new()), out var pipeline))
        {
            pipeline = Load(model == OwnForm ? (form ??= new()).Path : model, options);
            loaded.Add((model, options ?? new()), pipeline);
        }

        return pipeline;
    }

    /// <summary>Loads a model that is the caller's alone.</summary>
    public static DiffusionPipeline Load(string model, PipelineOptions? options = null)
    {
        if (!model.StartsWith(Embedded, StringComparison.Ordinal) && !Path.IsPathRooted(model))
        {
            ReferenceData.RequireRoot();
            model = ReferenceData.PathOf("models/" + model);
            Assert.SkipUnless(Directory.Exists(model), $"There is no {model}.");
        }

        return DiffusionPipeline.Load(model, (options ?? new()) with { Device = "cpu" });
    }

    public void Dispose()
    {
        foreach (var pipeline in loaded.Values)
        {
            pipeline.Dispose();
        }

        form?.Dispose();
    }
}
