using StorySync.Attention;
using StorySync.Diffusion.Flux;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>What FLUX's denoiser is conditioned on.</summary>
/// <param name="Text">T5's tokens, (rows, tokens, width).</param>
/// <param name="Pooled">CLIP's pooled text, (rows, width).</param>
/// <param name="Guidance">The guidance scale, (); null for a model that embeds none.</param>
/// <param name="Rotary">Positions of text and image tokens, made once for all steps.</param>
/// <param name="Grid">The grid of the image tokens.</param>
internal sealed record FluxEmbeddings(Tensor Text, Tensor Pooled, Tensor? Guidance, RotaryEmbedding Rotary, TokenGrid Grid)
    : PromptEmbeddings(Text)
{
    private const double TrainTimesteps = 1000;

    public override PromptEmbeddings Select(Tensor rows) =>
        this with { Text = Text.index_select(0, rows), Pooled = Pooled.index_select(0, rows) };

    public FluxInputs Inputs(Tensor sample, Tensor timestep) =>
        new(sample, Grid, Text, Pooled, timestep.to(sample.dtype).Over(TrainTimesteps), Rotary) { Guidance = Guidance };
}
