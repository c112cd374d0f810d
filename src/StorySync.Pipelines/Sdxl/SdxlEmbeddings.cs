using StorySync.Diffusion.Sdxl;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>What SDXL's denoiser is conditioned on, one row per batch row.</summary>
/// <param name="Text">(rows, tokens, width).</param>
/// <param name="Pooled">(rows, width).</param>
/// <param name="TimeIds">(rows, 6).</param>
/// <param name="Mask">1 for each token that counts, (rows, tokens), int64; null where all do.</param>
internal sealed record SdxlEmbeddings(Tensor Text, Tensor Pooled, Tensor TimeIds, Tensor? Mask) : PromptEmbeddings(Text)
{
    public override PromptEmbeddings Select(Tensor rows) =>
        new SdxlEmbeddings(
            Text.index_select(0, rows), Pooled.index_select(0, rows), TimeIds.index_select(0, rows), Mask?.index_select(0, rows));

    public UNetInputs Inputs(Tensor sample, Tensor timestep) => new(sample, timestep, Text)
    {
        TextEmbeds = Pooled,
        TimeIds = TimeIds,
        EncoderAttentionMask = Mask,
    };
}
