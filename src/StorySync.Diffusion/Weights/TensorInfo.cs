namespace StorySync.Diffusion.Weights;

/// <summary>Represents the description of a tensor in a file.</summary>
/// <param name="Name">The name in the file.</param>
/// <param name="Dtype">The stored element type.</param>
/// <param name="Shape">The sizes of its axes; empty for a single number.</param>
/// <param name="ByteCount">The bytes it takes in the file.</param>
public sealed record TensorInfo(string Name, SafetensorsDtype Dtype, IReadOnlyList<long> Shape, long ByteCount)
{
    /// <summary>Initializes a new instance of the <see cref="TensorInfo"/> class for a tensor that is to be written.</summary>
    /// <param name="name">The name it is to have.</param>
    /// <param name="dtype">The element type.</param>
    /// <param name="shape">The sizes of its axes, none negative.</param>
    /// <exception cref="OverflowException">It would take more than 2⁶³ bytes.</exception>
    public TensorInfo(string name, SafetensorsDtype dtype, params IReadOnlyList<long> shape)
        : this(name, dtype, shape, checked(shape.Aggregate(1L, (product, size) => checked(product * size)) * dtype.Bits() / 8))
    {
    }

    /// <summary>Returns the name, type and sizes, for messages.</summary>
    public override string ToString() => $"{Name} {Dtype}{ShapeText.Of(Shape)}";
}

internal static class ShapeText
{
    public static string Of(IEnumerable<long> shape) => $"[{string.Join(", ", shape)}]";
}
