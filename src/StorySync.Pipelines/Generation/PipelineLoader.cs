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
        ["KandinskyV3Pipeline"] = Kandinsky3,
        ["KandinskyV3Img2ImgPipeline"] = Kandinsky3,
        ["StableDiffusionXLPipeline"] = StableDiffusionXL,
        ["StableDiffusionXLImg2ImgPipeline"] = StableDiffusionXL,
        ["StableDiffusionXLInpaintPipeline"] = StableDiffusionXL,
    };

    /// <summary>What the classes are whose models are near to those that are read, by the beginning of their names.</summary>
    private static readonly (string Start, string Reason)[] Others =
    [
        ("StableDiffusionXLControlNet", "SDXL with a ControlNet; load its base model, a folder of StableDiffusionXLPipeline"),
        ("StableDiffusionXLAdapter", "SDXL with a T2I-Adapter; load its base model, a folder of StableDiffusionXLPipeline"),
        ("StableDiffusionXLInstructPix2Pix", "a model that edits images by instructions"),
        ("StableDiffusionXL", "SDXL in a pipeline of its own; load the base model, a folder of StableDiffusionXLPipeline"),
        ("StableDiffusion3", "Stable Diffusion 3"),
        ("StableDiffusion", "Stable Diffusion 1 or 2"),
        ("LatentConsistencyModel", "Stable Diffusion 1"),
        ("FluxControlNet", "FLUX.1 with a ControlNet; load its base model, a folder of FluxPipeline"),
        ("FluxControl", "FLUX.1 that is led by depths or edges"),
        ("FluxFill", "FLUX.1 Fill; FLUX.1 dev and schnell paint into images by GenerationRequest.Mask"),
        ("FluxKontext", "FLUX.1 Kontext"),
        ("Flux2", "FLUX.2"),
        ("Chroma", "Chroma"),
        ("Kandinsky5", "Kandinsky 5"),
        ("Kandinsky", "Kandinsky 2"),
    ];

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
                    : $"'_class_name' is {folder.ClassName}, which is not supported{Reason(folder.ClassName)}")
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

    private static string Reason(string name) =>
        Others.FirstOrDefault(other => name.StartsWith(other.Start, StringComparison.Ordinal)).Reason is { } reason
            ? $": it is {reason}" : "";

    private sealed record PipelineClass(Type Type, Func<LoadJob, DiffusionPipeline> Load);
}
