using System.Text;
using System.Text.Json;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>Represents the names and shapes of a module's tensors. For a module on the meta device, it requires no memory.</summary>
/// <param name="Shapes">Shapes by name, in the order of the module.</param>
public sealed record CheckpointShapes(IReadOnlyDictionary<string, IReadOnlyList<long>> Shapes)
{
    /// <summary>Gets the number of values in all tensors.</summary>
    public long ElementCount => Shapes.Values.Sum(shape => shape.Aggregate(1L, (product, size) => product * size));

    /// <summary>Returns what a module holds: its parameters and its persistent buffers.</summary>
    /// <param name="module">The module.</param>
    public static CheckpointShapes Of(nn.Module module) =>
        new(ModuleTensors.Of(module).ToDictionary(
            entry => entry.Name, entry => (IReadOnlyList<long>)entry.Tensor.shape, StringComparer.Ordinal));

    /// <summary>Returns what a checkpoint holds.</summary>
    /// <param name="source">The checkpoint.</param>
    public static CheckpointShapes Of(ITensorSource source)
    {
        ArgumentNullException.ThrowIfNull(source);
        return new(source.Tensors.ToDictionary(pair => pair.Key, pair => pair.Value.Shape, StringComparer.Ordinal));
    }

    /// <summary>Returns a JSON object {name: [sizes]}, one tensor a line, names in order.</summary>
    public string ToJson()
    {
        var lines = Shapes.OrderBy(pair => pair.Key, StringComparer.Ordinal)
            .Select(pair => $"  {JsonSerializer.Serialize(pair.Key)}: {ShapeText.Of(pair.Value)}");
        return $"{{\n{string.Join(",\n", lines)}\n}}\n";
    }

    /// <summary>Writes <see cref="ToJson"/> to a file.</summary>
    /// <param name="path">The file; it appears when it is whole.</param>
    public void Save(string path) => AtomicFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(ToJson())));
}
