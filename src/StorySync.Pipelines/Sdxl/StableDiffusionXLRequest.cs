namespace StorySync.Pipelines;

/// <summary>A request with what only SDXL has.</summary>
public sealed record StableDiffusionXLRequest : GenerationRequest
{
    /// <summary>Prompts for the second text encoder: one for all or one each; null gives it the same prompts.</summary>
    public IReadOnlyList<string>? Prompts2 { get; init; }

    /// <summary>Negative prompts for the second text encoder; null gives it the same ones.</summary>
    public IReadOnlyList<string>? NegativePrompts2 { get; init; }

    /// <summary>Brings the contrast that guidance takes away back: 0 not at all, 1 wholly (Lin et al., arXiv 2305.08891, section 3.4).</summary>
    public double GuidanceRescale { get; init; }

    /// <summary>How many of the text encoders' last layers to skip beyond the usual one, for the positive prompt; null for none.</summary>
    public int? ClipSkip { get; init; }

    /// <summary>The size that the model is told the picture had before it was cropped; null for the picture's own.</summary>
    public (int Height, int Width)? OriginalSize { get; init; }

    /// <summary>Where the model is told the crop began.</summary>
    public (int Top, int Left) CropsCoordsTopLeft { get; init; }

    /// <summary>The size that the model is told the picture has; null for the picture's own.</summary>
    public (int Height, int Width)? TargetSize { get; init; }

    /// <summary>The same for the negative half; takes effect together with <see cref="NegativeTargetSize"/>.</summary>
    public (int Height, int Width)? NegativeOriginalSize { get; init; }

    /// <summary>The same for the negative half.</summary>
    public (int Top, int Left) NegativeCropsCoordsTopLeft { get; init; }

    /// <summary>The same for the negative half; takes effect together with <see cref="NegativeOriginalSize"/>.</summary>
    public (int Height, int Width)? NegativeTargetSize { get; init; }

    /// <summary>What a request says that only SDXL understands; a plain request leaves all of it at its defaults.</summary>
    internal static StableDiffusionXLRequest Of(GenerationRequest request) => request as StableDiffusionXLRequest ?? Plain;

    private static StableDiffusionXLRequest Plain { get; } = new() { Prompts = [] };
}
