using StorySync.Kernels;

namespace StorySync.Diffusion.Weights;

/// <summary>A tensor source that has tensors in blocks of fewer bits than TorchSharp has types for.</summary>
internal interface IBlockSource : ITensorSource
{
    /// <summary>Reads a tensor in the form in which it is stored, on the CPU; a view where <see cref="ITensorSource.Read"/> gives
    /// one.</summary>
    /// <param name="name">The name of a tensor.</param>
    /// <returns>The blocks, for the caller to dispose; null if it is not in blocks.</returns>
    StoredBlocks? ReadBlocks(string name);
}
