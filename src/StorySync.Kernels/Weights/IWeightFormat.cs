using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Defines an order in memory in which a kernel reads the weight of a layer.</summary>
internal interface IWeightFormat
{
    /// <summary>Gets a value indicating whether <see cref="Unpack"/> restores the weight to the last bit.</summary>
    bool IsReversible { get; }

    /// <summary>Packs a weight.</summary>
    /// <param name="weight">The weight, in the type in which it is stored.</param>
    /// <param name="inputShape">The shape of the layer's first input, for formats that suit one size best.</param>
    /// <returns>New tensors in the current dispose scope.</returns>
    Tensor[] Pack(Tensor weight, long[] inputShape);

    /// <summary>Restores a weight.</summary>
    /// <param name="packed">The result of <see cref="Pack"/>.</param>
    /// <param name="shape">The shape of the weight.</param>
    /// <exception cref="NotSupportedException">The format is not reversible.</exception>
    Tensor Unpack(Tensor[] packed, long[] shape);
}
