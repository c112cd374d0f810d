using System.Runtime.CompilerServices;
using StorySync.Attention.Kernels;
using StorySync.Diffusion.Weights;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Tensors that are made from a parameter's values, for a way of computing that needs them otherwise. They live as long as
/// the parameter has those values.</summary>
internal static class DerivedWeights
{
    private static readonly ConditionalWeakTable<Tensor, Entry> Table = [];

    /// <summary>What is made from a parameter, which keeps its values; made at the first call. The pages of a mapped file that they lie
    /// in are given back.</summary>
    /// <param name="weight">The parameter. Several runs may meet here: one makes the tensors, all get the same.</param>
    /// <param name="make">Makes them; what else it makes is disposed.</param>
    public static Tensor[] Of(Parameter weight, Func<Tensor[]> make)
    {
        lock (weight)
        {
            if (Find(weight) is { } made)
            {
                return made.Tensors;
            }

            var derived = Make(make);
            MappedPages.Release(weight);
            Table.Add(weight, new Entry(derived, null));
            return derived;
        }
    }

    /// <summary>What is made from a parameter and takes its place: the parameter is left as a shape without values, which no operator can
    /// read, so that nothing is in memory twice. <see cref="Restore"/> gives the values back.</summary>
    /// <param name="weight">The parameter, as in <see cref="Of"/>. Whoever looks at it elsewhere may meet the very moment in which its values go.</param>
    /// <param name="make">Makes the tensors from its values; what else it makes is disposed.</param>
    /// <param name="restore">Makes the values from the tensors, to the last bit.</param>
    /// <returns>The tensors; null if the parameter is not one of float32 in the processor's own memory.</returns>
    public static Tensor[]? InPlaceOf(Parameter weight, Func<Tensor, Tensor[]> make, Func<Tensor[], Tensor> restore)
    {
        lock (weight)
        {
            if (Find(weight) is { } made)
            {
                return made.Tensors;
            }

            if (!TensorMemory.IsFloat32OnHost(weight))
            {
                return null;
            }

            var derived = Make(() => make(weight));
            MappedPages.Release(weight);
            Parameters.Replace(weight, empty(weight.shape, device: META).DetachFromDisposeScope());
            Table.Add(weight, new Entry(derived, restore));
            return derived;
        }
    }

    /// <summary>Gives a parameter the values back whose place other tensors have taken.</summary>
    public static void Restore(Parameter weight)
    {
        lock (weight)
        {
            if (Find(weight) is { Values: { } restore } entry)
            {
                using var scope = NewDisposeScope();
                Parameters.Replace(weight, restore(entry.Tensors).DetachFromDisposeScope());
            }
        }
    }

    /// <summary>Frees what was made from a parameter, which gets other values or goes.</summary>
    public static void Drop(Tensor weight)
    {
        if (Find(weight) is { } entry && Table.Remove(weight))
        {
            Array.ForEach(entry.Tensors, tensor => tensor.Dispose());
        }
    }

    private static Entry? Find(Tensor weight) => Table.TryGetValue(weight, out var entry) ? entry : null;

    private static Tensor[] Make(Func<Tensor[]> make)
    {
        using var scope = NewDisposeScope();
        return Array.ConvertAll(make(), tensor => tensor.DetachFromDisposeScope());
    }

    /// <param name="Tensors">What was made.</param>
    /// <param name="Values">Makes the parameter's values from it; null where the parameter has kept them.</param>
    private sealed record Entry(Tensor[] Tensors, Func<Tensor[], Tensor>? Values);
}
