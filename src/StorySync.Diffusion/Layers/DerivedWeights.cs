using System.Runtime.CompilerServices;
using StorySync.Diffusion.Weights;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>Tensors that are made from a parameter's values, for a way of computing that needs them otherwise. They live as long as
/// the parameter has those values.</summary>
internal static class DerivedWeights
{
    private static readonly ConditionalWeakTable<Tensor, Tensor[]> Table = [];

    /// <summary>What is made from a parameter; made at the first call. The pages of a mapped file that the values lie in are given back.</summary>
    /// <param name="weight">The parameter. Several runs may meet here: one makes the tensors, all get the same.</param>
    /// <param name="make">Makes them; what else it makes is disposed.</param>
    public static Tensor[] Of(Parameter weight, Func<Tensor[]> make)
    {
        lock (weight)
        {
            if (Find(weight) is { } made)
            {
                return made;
            }

            using var scope = NewDisposeScope();
            var derived = Array.ConvertAll(make(), tensor => tensor.DetachFromDisposeScope());
            MappedPages.Release(weight);
            Table.Add(weight, derived);
            return derived;
        }
    }

    /// <summary>What has been made from a parameter; null if nothing has.</summary>
    public static Tensor[]? Find(Tensor weight) => Table.TryGetValue(weight, out var made) ? made : null;

    /// <summary>Frees what was made from a parameter, which gets other values or goes.</summary>
    public static void Drop(Tensor weight)
    {
        if (Table.Remove(weight, out var derived))
        {
            Array.ForEach(derived, tensor => tensor.Dispose());
        }
    }
}
