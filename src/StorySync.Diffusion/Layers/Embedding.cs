using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>A table of vectors, looked up by id (torch's <c>nn.Embedding</c>).</summary>
internal sealed class Embedding : WeightedLayer
{
    public Embedding(long entries, long width)
        : base(nameof(Embedding), outputs: null, canDefer: false, entries, width) => RegisterComponents();

    public override Tensor forward(Tensor ids) => weight.index_select(0, ids.flatten()).reshape([.. ids.shape, -1]);
}
