using StorySync.Attention;
using StorySync.Diffusion.Flux;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>What FLUX's denoiser is conditioned on.</summary>
/// <param name="Text">T5's tokens, (rows, tokens, width).</param>
/// <param name="Pooled">CLIP's pooled text, (rows, width).</param>
/// <param name="Guidance">The guidance scale, (); null for a model that embeds none.</param>
/// <param name="TxtIds">Positions of the text tokens, (tokens, 3).</param>
/// <param name="ImgIds">Positions of the image tokens, (image tokens, 3).</param>
/// <param name="Grid">How the image tokens lie.</param>
internal sealed record FluxEmbeddings(Tensor Text, Tensor Pooled, Tensor? Guidance, Tensor TxtIds, Tensor ImgIds, TokenGrid Grid)
    : PromptEmbeddings
{
    private const double TrainTimesteps = 1000;

    public override PromptEmbeddings Select(Tensor rows) =>
        this with { Text = Text.index_select(0, rows), Pooled = Pooled.index_select(0, rows) };

    public FluxInputs Inputs(Tensor sample, Tensor timestep) =>
        new(sample, Grid, Text, Pooled, timestep.to(sample.dtype) / TrainTimesteps, ImgIds, TxtIds) { Guidance = Guidance };
}
