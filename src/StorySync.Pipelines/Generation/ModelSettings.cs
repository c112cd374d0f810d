using System.ComponentModel.DataAnnotations;
using StorySync.Attention;
using StorySync.Diffusion.Autoencoders;
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

    /// <summary><c>preset</c>: the name of the preset where a request names none.</summary>
    public string? Preset { get; init; }

    /// <summary><c>true_cfg_scale</c>: FLUX's scale of real guidance where a request names none. A request without negative prompts is
    /// then guided away from the empty prompt.</summary>
    [Range(-1000.0, 1000.0)]
    public double? TrueCfgScale { get; init; }

    /// <summary><c>height</c>: the height in pixels where a request names none.</summary>
    [Range(1, GenerationRequest.MaxSide)]
    public int? Height { get; init; }

    /// <summary><c>width</c>: the width in pixels where a request names none.</summary>
    [Range(1, GenerationRequest.MaxSide)]
    public int? Width { get; init; }

    /// <summary><c>mask_layers</c>: the layers that subject masks come from, in the form of <see cref="MaskOptions.Layers"/>, where a story
    /// names none.</summary>
    public string? MaskLayers { get; init; }

    /// <summary><c>latent_rgb_factors</c>: for each channel of the latents what it adds to red, green and blue in [−1, 1].</summary>
    public IReadOnlyList<IReadOnlyList<double>>? LatentRgbFactors { get; init; }

    /// <summary><c>latent_rgb_factors_bias</c>: red, green and blue where all channels are 0; by default 0, a mean gray.</summary>
    public IReadOnlyList<double>? LatentRgbFactorsBias { get; init; }

    private string File { get; init; } = "";

    /// <exception cref="ModelFileException">The file is no JSON object, or an entry is of another kind or out of its range.</exception>
    public static ModelSettings Of(ModelFolder folder)
    {
        return folder.Contents.TryRead("", "storysync.json") is { } file
            ? ComponentConfig.Read<ModelSettings>(file) with { File = file.Path } : new();
    }

    /// <summary>Returns the preset that the folder names; null if it names none.</summary>
    /// <param name="isFlowMatching">Whether the model was trained by flow matching, and so can have none.</param>
    /// <exception cref="ModelFileException">There is none of the name, or the model can have none.</exception>
    public SamplingPreset? PresetOf(bool isFlowMatching)
    {
        if (Preset is null)
        {
            return null;
        }

        var names = SamplingPreset.All.Select(preset => preset.Name).ToList();
        return isFlowMatching ? throw new ModelFileException(File, "'preset' is set, and a model of flow matching has none; leave it out")
            : names.Contains(Preset) ? SamplingPreset.Parse(Preset)
            : throw new ModelFileException(File, $"'preset' is {Preset}; it must be one of {string.Join(", ", names)}");
    }

    /// <summary>Returns the size of an image where a request names none: the folder's own, or else the class's.</summary>
    /// <exception cref="ModelFileException">The folder's own is none that the model makes.</exception>
    public ImageSize SizeOf(ImageSize ofClass, int multiple)
    {
        Require("height", Height);
        Require("width", Width);
        return (Height ?? ofClass.Height, Width ?? ofClass.Width);

        void Require(string name, int? side)
        {
            if (side % multiple is > 0)
            {
                throw new ModelFileException(File, $"'{name}' is {side}; it must be a multiple of {multiple}");
            }
        }
    }

    /// <summary>Returns the techniques of a story that does not say otherwise: the class's, with the folder's own layers of masks.
    /// </summary>
    /// <exception cref="ModelFileException">The folder's own are not a list of patterns.</exception>
    public StoryAttentionOptions TechniquesOf(StoryAttentionOptions ofClass)
    {
        try
        {
            return new StoryAttentionOptions { Masks = new() { Layers = MaskLayers } }.Over(ofClass);
        }
        catch (ArgumentException exception)
        {
            throw new ModelFileException(File, $"'mask_layers' is '{MaskLayers}'; {exception.Message}", exception);
        }
    }

    /// <summary>Returns the fit that paints previews: the folder's own, or else the one that is known of the autoencoder; null without
    /// either.</summary>
    /// <exception cref="ModelFileException">The folder's own does not have three numbers for each channel.</exception>
    public LatentColors? ColorsOf(ConvolutionalAutoencoderConfig autoencoder)
    {
        if (this is { LatentRgbFactors: null, LatentRgbFactorsBias: null })
        {
            return LatentColors.Known(autoencoder);
        }

        var factors = LatentRgbFactors ?? [];
        return factors.Count == autoencoder.LatentChannels && factors.Append(LatentRgbFactorsBias ?? [0, 0, 0]).All(IsColor)
            ? new LatentColors(factors, LatentRgbFactorsBias ?? [0, 0, 0])
            : throw new ModelFileException(
                File,
                "'latent_rgb_factors' must have a row of three numbers for each of the latents' "
                    + $"{autoencoder.LatentChannels} channels, and 'latent_rgb_factors_bias' three numbers");

        static bool IsColor(IReadOnlyList<double>? row) => row is { Count: 3 } && row.All(double.IsFinite);
    }
}
