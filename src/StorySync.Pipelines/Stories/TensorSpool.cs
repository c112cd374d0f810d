using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Tensors of one type that are written to a temporary file as they are computed, and then are views of it: they may be larger
/// than memory.</summary>
internal sealed class TensorSpool : IDisposable
{
    private readonly string path = Path.GetTempFileName();
    private readonly FileStream stream;
    private readonly ScalarType dtype;
    private readonly List<(string Name, long[] Shape)> entries = [];
    private long count;

    /// <param name="dtype">The type.</param>
    /// <exception cref="IOException">There is no room for temporary files.</exception>
    public TensorSpool(ScalarType dtype)
    {
        this.dtype = dtype;
        stream = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete);
    }

    /// <summary>Writes a tensor.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="tensor">The tensor, contiguous on the host.</param>
    /// <exception cref="IOException">The disk is full, for example.</exception>
    public void Append(string name, Tensor tensor)
    {
        try
        {
            TensorBytes.Write(tensor, stream);
        }
        catch (IOException exception)
        {
            throw new IOException(
                $"The anchors' keys, {ByteSize.Text(count * tensor.ElementSize)} so far, do not fit into the folder of temporary files, "
                    + $"{Path.GetTempPath()}; name another one in TMPDIR (TEMP on Windows), or make a bank of the form Trajectory: "
                    + exception.Message,
                exception);
        }

        entries.Add((name, tensor.shape));
        count += tensor.numel();
    }

    /// <summary>Ends the writing.</summary>
    /// <returns>The tensors by name, for the caller to dispose; the bytes are there for as long as one of them is.</returns>
    public Dictionary<string, Tensor> Map()
    {
        stream.Dispose();
        var tensors = new Dictionary<string, Tensor>();
        if (count > 0)
        {
            using var scope = NewDisposeScope();
            var all = from_file(path, shared: false, count, dtype, CPU);
            var first = 0L;
            foreach (var (name, shape) in entries)
            {
                var length = shape.Aggregate(1L, (product, side) => product * side);
                tensors.Add(name, all.narrow(0, first, length).view(shape).DetachFromDisposeScope());
                first += length;
            }
        }

        return tensors;
    }

    /// <summary>Takes the file's name away; where the system keeps a mapped file's name, it stays until its next clearing of temporary
    /// files.</summary>
    public void Dispose()
    {
        stream.Dispose();
        try
        {
            File.Delete(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // The file is in use where a mapping holds it.
        }
    }
}
