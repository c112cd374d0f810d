using StorySync.Diffusion.Kandinsky3;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>What Kandinsky 3's denoiser is conditioned on, one row per batch row.</summary>
/// <param name="Text">(rows, tokens, width), zero where the mask is.</param>
/// <param name="Mask">1 for each token that counts, (rows, tokens), int64.</param>
/// <param name="Lengths">The tokens that each row has, (rows), int64; null where all have all.</param>
internal sealed record Kandinsky3Embeddings(Tensor Text, Tensor Mask, Tensor? Lengths) : PromptEmbeddings(Text)
{
    public override PromptEmbeddings Select(Tensor rows) =>
        new Kandinsky3Embeddings(Text.index_select(0, rows), Mask.index_select(0, rows), Lengths?.index_select(0, rows));

    public Kandinsky3Inputs Inputs(Tensor sample, Tensor timestep) => new(sample, timestep, Text)
    {
        EncoderAttentionMask = Mask,
        TextLengths = Lengths,
    };
}
