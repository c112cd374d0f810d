using StorySync.Diffusion.Weights;

namespace StorySync.Pipelines;

/// <summary>Finds the pipeline that a model folder asks for.</summary>
internal static class PipelineLoader
{
    private static readonly PipelineClass Flux = new(typeof(FluxPipeline), job => new FluxPipeline(job));
    private static readonly PipelineClass Kandinsky3 = new(typeof(Kandinsky3Pipeline), job => new Kandinsky3Pipeline(job));
    private static readonly PipelineClass StableDiffusionXL = new(typeof(StableDiffusionXLPipeline), job =>
        new StableDiffusionXLPipeline(job));

    private static readonly Dictionary<string, PipelineClass> Classes = new()
    {
        ["FluxPipeline"] = Flux,
        ["FluxImg2ImgPipeline"] = Flux,
        ["FluxInpaintPipeline"] = Flux,
        ["Kandinsky3Pipeline"] = Kandinsky3,
        ["Kandinsky3Img2ImgPipeline"] = Kandinsky3,
        ["StableDiffusionXLPipeline"] = StableDiffusionXL,
        ["StableDiffusionXLImg2ImgPipeline"] = StableDiffusionXL,
        ["StableDiffusionXLInpaintPipeline"] = StableDiffusionXL,
    };

    /// <summary>Loads a model as a pipeline of a class.</summary>
    /// <typeparam name="TPipeline">The class; <see cref="DiffusionPipeline"/> for the model's own.</typeparam>
    /// <exception cref="ModelFileException">The model could not be found, is corrupt, or is one for another class.</exception>
    public static TPipeline Load<TPipeline>(
        string model, PipelineOptions? options, IProgress<LoadProgress>? progress, CancellationToken cancellationToken)
        where TPipeline : DiffusionPipeline
    {
        ArgumentNullException.ThrowIfNull(model);
        cancellationToken.ThrowIfCancellationRequested();
        options ??= new();
        var folder = ModelFolder.Open(model, options.Config, options.Replacements);
        var index = folder.ReadFile("", "model_index.json").Path;
        if (folder.ClassName is not { } name || !Classes.TryGetValue(name, out var found))
        {
            throw new ModelFileException(
                index, (folder.ClassName is null ? "there is no '_class_name'"
                    : $"'_class_name' is {folder.ClassName}, which is not supported")
                + $"; expected one of {string.Join(", ", Classes.Keys)}");
        }

        if (!found.Type.IsAssignableTo(typeof(TPipeline)))
        {
            throw new ModelFileException(
                index,
                $"'_class_name' is {name}, which is a model for {found.Type.Name}.Load, or for {nameof(DiffusionPipeline)}.Load, which "
                    + $"takes any; "
                + $"{typeof(TPipeline).Name} expects "
                + $"{string.Join(" or ", Classes.Where(c => c.Value.Type == typeof(TPipeline)).Select(c => c.Key))}");
        }

        var job = new LoadJob(folder, options, progress, cancellationToken);
        try
        {
            var pipeline = (TPipeline)found.Load(job);
            pipeline.Complete();
            return pipeline;
        }
        catch
        {
            job.Release();
            throw;
        }
    }

    private sealed record PipelineClass(Type Type, Func<LoadJob, DiffusionPipeline> Load);
}
