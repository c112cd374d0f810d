using StorySync.Diffusion.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Flux;

/// <summary>The conditioning of every block: timestep, pooled text and, in a guidance-distilled model, the guidance scale, each
/// embedded, summed (diffusers' <c>CombinedTimestepTextProjEmbeddings</c> and <c>CombinedTimestepGuidanceTextProjEmbeddings</c>).</summary>
internal sealed class CombinedTimestepTextProjEmbeddings : nn.Module<Tensor, Tensor?, Tensor, Tensor>
{
    private const int Channels = 256;

    private readonly Timesteps time_proj;
    private readonly TimestepEmbedding timestep_embedder;
    private readonly TimestepEmbedding? guidance_embedder;
    private readonly TimestepEmbedding text_embedder;

    public CombinedTimestepTextProjEmbeddings(long width, long pooledWidth, bool guidance)
        : base(nameof(CombinedTimestepTextProjEmbeddings))
    {
        time_proj = new Timesteps(Channels, flipSinToCos: true, frequencyShift: 0);
        timestep_embedder = new TimestepEmbedding(Channels, width);
        guidance_embedder = guidance ? new TimestepEmbedding(Channels, width) : null;
        text_embedder = new TimestepEmbedding(pooledWidth, width);
        RegisterComponents();
    }

    /// <param name="timestep">(batch), 0 … 1000.</param>
    /// <param name="guidance">(batch), the scale times 1000; null in a model without guidance embedding.</param>
    /// <param name="pooled">Pooled text, (batch, pooled width).</param>
    public override Tensor forward(Tensor timestep, Tensor? guidance, Tensor pooled)
    {
        using var scope = NewDisposeScope();
        var sum = timestep_embedder.call(time_proj.call(timestep).to(pooled.dtype));
        if (guidance_embedder is not null)
        {
            sum = sum.add_(guidance_embedder.call(time_proj.call(guidance!).to(pooled.dtype)));
        }

        return sum.add_(text_embedder.call(pooled)).MoveToOuterDisposeScope();
    }
}
