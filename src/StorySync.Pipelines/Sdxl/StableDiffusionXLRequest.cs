namespace StorySync.Pipelines;

/// <summary>Specifies what to generate, with what only SDXL has.</summary>
public sealed record StableDiffusionXLRequest : GenerationRequest
{
    /// <summary>Gets the prompts for the second text encoder: one for all or one each; null (default) gives it the same prompts.</summary>
    public IReadOnlyList<string>? Prompts2 { get; init; }

    /// <summary>Gets the negative prompts for the second text encoder; null (default) gives it the same ones.</summary>
    public IReadOnlyList<string>? NegativePrompts2 { get; init; }

    /// <summary>Gets how prompts and negative prompts are read: as text of one length (default), as text of any length, or with
    /// weights.</summary>
    /// <remarks>With <see cref="PromptSyntax.Long"/> and <see cref="PromptSyntax.Weighted"/> a prompt that fits into one chunk and has no
    /// weights gives the same image as with <see cref="PromptSyntax.Plain"/>. A longer one becomes several chunks, in both text encoders
    /// and in the negative half equally many; the pooled text is that of the first. A weight w takes the embedding e of a token to
    /// n + w · (e − n), where n is that of the end token of its chunk (diffusers' community pipeline lpw_stable_diffusion_xl).</remarks>
    public PromptSyntax PromptSyntax { get; init; }

    /// <summary>Gets how much of the contrast that guidance takes away is brought back: 0 (default) nothing, 1 all of it (Lin et al.,
    /// arXiv 2305.08891, section 3.4).</summary>
    public double GuidanceRescale { get; init; }

    /// <summary>Gets the number of last layers of the text encoders that are skipped beyond the usual one, for the positive prompt; null
    /// (default) for none.</summary>
    public int? ClipSkip { get; init; }

    /// <summary>Gets the size that the model is told the training image had; null (default) for the size of the images.</summary>
    public ImageSize? OriginalSize { get; init; }

    /// <summary>Gets the corner at which the model is told the training image was cropped. Default (0, 0).</summary>
    public ImagePoint CropsCoordsTopLeft { get; init; }

    /// <summary>Gets the size that the model is told the image has; null (default) for the size of the images.</summary>
    public ImageSize? TargetSize { get; init; }

    /// <summary>Gets the negative half's <see cref="OriginalSize"/>; null (default) for the same. Takes effect together with
    /// <see cref="NegativeTargetSize"/>.</summary>
    public ImageSize? NegativeOriginalSize { get; init; }

    /// <summary>Gets the negative half's <see cref="CropsCoordsTopLeft"/>. Takes effect together with
    /// <see cref="NegativeOriginalSize"/>.</summary>
    public ImagePoint NegativeCropsCoordsTopLeft { get; init; }

    /// <summary>Gets the negative half's <see cref="TargetSize"/>; null (default) for the same. Takes effect together with
    /// <see cref="NegativeOriginalSize"/>.</summary>
    public ImageSize? NegativeTargetSize { get; init; }
}

/// <summary>Represents a point of an image. A pair (top, left) converts to it.</summary>
/// <param name="Top">The rows above it.</param>
/// <param name="Left">The columns to the left of it.</param>
public readonly record struct ImagePoint(int Top, int Left)
{
    /// <summary>Returns the point at a row and a column.</summary>
    /// <param name="point">The row and the column.</param>
    public static implicit operator ImagePoint((int Top, int Left) point) => new(point.Top, point.Left);
}
