using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Creates the exceptions for arguments whose sizes do not fit together.</summary>
internal static class ShapeMismatch
{
    /// <summary>Returns a layer's input does not fit its weight.</summary>
    /// <param name="weight">The shape of the weight.</param>
    /// <param name="input">The input.</param>
    public static ArgumentException OfLayer(ReadOnlySpan<long> weight, Tensor input) =>
        new($"A layer with weights ({Text(weight)}) cannot take an input ({Text(input.shape)}).", nameof(input));

    /// <summary>Returns the arguments of an operation do not fit together.</summary>
    /// <param name="operation">The operation, and the numbers that it is given.</param>
    /// <param name="arguments">The tensors, with their names.</param>
    public static ArgumentException Of(string operation, params ReadOnlySpan<(string Name, Tensor? Tensor)> arguments)
    {
        var shapes = new List<string>();
        foreach (var (name, tensor) in arguments)
        {
            if (tensor is not null)
            {
                shapes.Add($"{name} {tensor.dtype} ({Text(tensor.shape)})");
            }
        }

        return new($"{operation} cannot be computed of {string.Join(", ", shapes)}.");
    }

    private static string Text(ReadOnlySpan<long> shape) => string.Join(", ", shape.ToArray());
}
