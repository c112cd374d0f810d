using StorySync.Diffusion.Weights;

namespace StorySync.Pipelines;

/// <summary>Finds the pipeline that a model folder asks for.</summary>
internal static class PipelineLoader
{
    private static readonly Dictionary<string, Func<ModelFolder, PipelineOptions, DiffusionPipeline>> Classes = new()
    {
        ["FluxPipeline"] = FluxPipeline.Load,
        ["FluxImg2ImgPipeline"] = FluxPipeline.Load,
        ["Kandinsky3Pipeline"] = Kandinsky3Pipeline.Load,
        ["Kandinsky3Img2ImgPipeline"] = Kandinsky3Pipeline.Load,
        ["StableDiffusionXLPipeline"] = StableDiffusionXLPipeline.Load,
        ["StableDiffusionXLImg2ImgPipeline"] = StableDiffusionXLPipeline.Load,
        ["StableDiffusionXLInpaintPipeline"] = StableDiffusionXLPipeline.Load,
    };

    public static DiffusionPipeline Load(string model, PipelineOptions options)
    {
        var folder = ModelFolder.Open(model);
        var index = folder.FilePath("", "model_index.json");
        return folder.ClassName is { } name && Classes.TryGetValue(name, out var load)
            ? load(folder, options)
            : throw new ModelFileException(
                index, (folder.ClassName is null ? "there is no '_class_name'" : $"'_class_name' is {folder.ClassName}, which is not supported")
                + $"; expected one of {string.Join(", ", Classes.Keys)}");
    }
}
