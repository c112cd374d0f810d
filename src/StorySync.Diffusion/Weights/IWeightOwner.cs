using StorySync.Kernels;

namespace StorySync.Diffusion.Weights;

/// <summary>A module that keeps the values of its parameter <c>weight</c> in a <see cref="WeightStorage"/>.</summary>
internal interface IWeightOwner
{
    /// <summary>Gets the storage of the weight.</summary>
    WeightStorage Storage { get; }
}
