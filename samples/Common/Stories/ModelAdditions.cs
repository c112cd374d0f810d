using System.Globalization;
using StorySync.Diffusion.Weights;
using StorySync.Documents;
using StorySync.Pipelines;

namespace StorySync.Samples;

/// <summary>What is put on a model after it is loaded.</summary>
/// <param name="Loras">Files of LoRAs, each alone or with <c>=</c> and a scale.</param>
/// <param name="TextualInversions">Files of textual inversions, whose words are the files' names.</param>
/// <param name="OptionForSdxl">An option that was given and that only SDXL has; null for none.</param>
internal sealed record ModelAdditions(
    IReadOnlyList<string> Loras, IReadOnlyList<string> TextualInversions, string? OptionForSdxl)
{
    /// <exception cref="UserErrorException">A file, or an option, is none for the model.</exception>
    public void AddTo(DiffusionPipeline pipeline)
    {
        var sdxl = pipeline as StableDiffusionXLPipeline;
        if (OptionForSdxl is not null && sdxl is null)
        {
            throw new UserErrorException($"{OptionForSdxl} is for SDXL, and the model is not of its kind; leave it out.");
        }

        foreach (var (path, scale) in Loras.Select(Scaled))
        {
            Guarded("--lora", () => pipeline.Loras.Load(path, scale: scale));
        }

        foreach (var path in TextualInversions)
        {
            Guarded("--textual-inversion", () => sdxl!.LoadTextualInversion(path));
        }
    }

    private static (string Path, double Scale) Scaled(string lora)
    {
        var equals = lora.LastIndexOf('=');
        return equals > 0 && !File.Exists(lora)
            && double.TryParse(lora.AsSpan(equals + 1), NumberStyles.Float, CultureInfo.InvariantCulture, out var scale)
            ? (lora[..equals], scale)
            : (lora, 1);
    }

    private static void Guarded(string option, Action load)
    {
        try
        {
            load();
        }
        catch (Exception exception) when (exception is ArgumentException or ModelFileException)
        {
            throw new UserErrorException($"{option}: {English.OneLine(exception.Message)}", exception);
        }
    }
}
