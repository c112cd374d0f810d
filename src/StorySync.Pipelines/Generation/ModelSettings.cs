using System.ComponentModel.DataAnnotations;
using StorySync.Diffusion.Weights;

namespace StorySync.Pipelines;

/// <summary>What a model's folder says of how it is best used, in a <c>storysync.json</c> next to <c>model_index.json</c>; a folder without
/// one says nothing.</summary>
internal sealed record ModelSettings
{
    /// <summary><c>steps</c>: denoising steps where a request names none.</summary>
    [Range(1, GenerationRequest.MaxSteps)]
    public int? Steps { get; init; }

    /// <summary><c>guidance_scale</c>: the guidance scale where a request names none.</summary>
    [Range(-1000.0, 1000.0)]
    public double? GuidanceScale { get; init; }

    /// <exception cref="ModelFileException">The file is no JSON object, or an entry is of another kind or out of its range.</exception>
    public static ModelSettings Of(ModelFolder folder)
    {
        var path = Path.Combine(folder.Path, "storysync.json");
        return File.Exists(path) ? ComponentConfig.Read<ModelSettings>(path) : new();
    }
}
