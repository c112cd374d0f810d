using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>Defines a source of named tensors that are read one at a time: a safetensors file, or the several files of a sharded
/// checkpoint.</summary>
public interface ITensorSource : IDisposable
{
    /// <summary>Gets the file (or index file) that it reads, for messages.</summary>
    string Path { get; }

    /// <summary>Gets the tensors by name.</summary>
    IReadOnlyDictionary<string, TensorInfo> Tensors { get; }

    /// <summary>Reads a tensor onto the CPU in its stored type; 8-bit floats and blocks of fewer bits are decoded to float32. Otherwise it
    /// is a view of the mapped file: nothing is copied and no page is touched. Writing to it does not change the file, but what other
    /// views of this source show. It stays valid after the source is disposed.</summary>
    /// <param name="name">One of <see cref="Tensors"/>.</param>
    /// <returns>A new tensor, in the caller's dispose scope.</returns>
    /// <exception cref="KeyNotFoundException">There is no tensor of this name.</exception>
    /// <exception cref="ModelFileException">TorchSharp has no such element type (6-bit floats, for example).</exception>
    /// <exception cref="ObjectDisposedException">The source is disposed.</exception>
    Tensor Read(string name);
}
