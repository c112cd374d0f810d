using StorySync.Diffusion.Sdxl;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>What SDXL's denoiser is conditioned on, one row per batch row.</summary>
/// <param name="Text">(rows, tokens, width).</param>
/// <param name="Pooled">(rows, width).</param>
/// <param name="TimeIds">(rows, 6).</param>
/// <param name="Mask">1 for each token that counts, (rows, tokens), int64; null where all do.</param>
/// <param name="TimestepCond">The embedded guidance scale, (1, width), for all rows; null where the denoiser is not told it.</param>
internal sealed record SdxlEmbeddings(Tensor Text, Tensor Pooled, Tensor TimeIds, Tensor? Mask, Tensor? TimestepCond)
    : PromptEmbeddings(Text)
{
    public override PromptEmbeddings Select(Tensor rows) =>
        this with
        {
            Text = Text.index_select(0, rows),
            Pooled = Pooled.index_select(0, rows),
            TimeIds = TimeIds.index_select(0, rows),
            Mask = Mask?.index_select(0, rows),
        };

    public UNetInputs Inputs(Tensor sample, Tensor timestep) => new(sample, timestep, Text)
    {
        TextEmbeds = Pooled,
        TimeIds = TimeIds,
        EncoderAttentionMask = Mask,
        TimestepCond = TimestepCond,
    };
}
