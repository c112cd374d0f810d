namespace StorySync.Pipelines;

/// <summary>Specifies what to generate, with what only FLUX.1 has.</summary>
/// <remarks><see cref="GenerationRequest.GuidanceScale"/> is what a guidance-distilled model (dev) is told; a model without guidance
/// embedding (schnell) ignores it.</remarks>
public sealed record FluxRequest : GenerationRequest
{
    /// <summary>Gets the prompts for T5, whose tokens the attention reads: one for all or one each; null (default) gives it the same
    /// prompts. The others are then for CLIP alone, which gives the pooled text.</summary>
    public IReadOnlyList<string>? Prompts2 { get; init; }

    /// <summary>Gets the negative prompts for T5; null (default) gives it the same ones.</summary>
    public IReadOnlyList<string>? NegativePrompts2 { get; init; }

    /// <summary>Gets the scale of real guidance, with a second, negative half of the batch: on above 1 if there is a negative prompt, or
    /// if the model names a scale of its own. Null (default) for <see cref="FluxPipeline.DefaultTrueCfgScale"/>, 1 (off) for most
    /// models.</summary>
    public double? TrueCfgScale { get; init; }

    /// <summary>Gets the number of tokens that T5 gives, from 1 to 512 or, where that is less, the tokenizer's <c>model_max_length</c>;
    /// longer prompts are cut. Null (default) for what the model was trained with: 256 without guidance embedding (schnell), else 512, but
    /// not more than the tokenizer says.</summary>
    public int? MaxSequenceLength { get; init; }
}
