using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>Works on the images of a batch one after the other, so that only one of them has its activations in memory.</summary>
internal static class Slices
{
    /// <param name="batch">(batch, …).</param>
    /// <param name="sliced">Whether to take the images one by one; else the batch goes through as it is.</param>
    /// <param name="work">Makes an output of an input; called in a scope of its own.</param>
    public static Tensor Map(Tensor batch, bool sliced, Func<Tensor, Tensor> work) =>
        Scoped(() => sliced && batch.shape[0] > 1 ? cat([.. batch.split(1).Select(work)]) : work(batch));
}
