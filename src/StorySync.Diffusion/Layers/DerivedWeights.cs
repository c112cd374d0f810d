using System.Runtime.CompilerServices;
using StorySync.Kernels;
using StorySync.Diffusion.Weights;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>The values of weights that do not lie in the parameter itself: they are still where they are stored, in another type; or other
/// tensors have been made of them, for a way of computing that needs them otherwise. The parameter is then a shape without values, on the
/// meta device, so that nothing is in memory twice.</summary>
/// <remarks>Whoever looks at such a parameter while a layer runs for the first time may meet the very moment in which its values go.</remarks>
internal static class DerivedWeights
{
    private static readonly ConditionalWeakTable<Tensor, State> States = [];

    /// <summary>Notes that a layer asks for the values of its weight here, and nowhere else.</summary>
    public static void Serve(Parameter weight) => States.Add(weight, new State());

    /// <summary>Leaves the values where they are stored until a layer needs them; false if they have to be loaded now.</summary>
    /// <param name="weight">The parameter.</param>
    /// <param name="stored">The values: a view of a mapped file. Consumed if the result is true.</param>
    /// <param name="dtype">What the parameter is to be.</param>
    public static bool Defer(Tensor weight, Tensor stored, ScalarType dtype)
    {
        var isHalf = stored.dtype is ScalarType.Float16 or ScalarType.BFloat16;
        if (!isHalf || dtype != ScalarType.Float32 || !MappedPages.IsView(stored) || !States.TryGetValue(weight, out var state))
        {
            return false;
        }

        Parameters.Replace(weight, empty(weight.shape, dtype, META).DetachFromDisposeScope());
        state.Stored = stored.DetachFromDisposeScope();
        return true;
    }

    /// <summary>Whether a weight's values are where they are stored, in half precision.</summary>
    public static bool IsStored(Tensor weight) => States.TryGetValue(weight, out var state) && state.Stored is not null;

    /// <summary>What is made of a weight; made at the first call.</summary>
    /// <param name="weight">The parameter. Several runs may meet here: one makes the tensors, all get the same.</param>
    /// <param name="make">Makes them from the values, in the type that these are stored in; what else it makes is disposed.</param>
    /// <param name="restore">Makes the values from the tensors, to the last bit; null if that cannot be done: values that are stored nowhere
    /// else then stay in memory.</param>
    /// <returns>The tensors; null if the parameter is not one of float32 for the processor.</returns>
    public static Tensor[]? Of(Parameter weight, Func<Tensor, Tensor[]> make, Func<Tensor[], Tensor>? restore = null)
    {
        if (!States.TryGetValue(weight, out var state))
        {
            throw new InvalidOperationException("The layer has not said that it asks here for its weight.");
        }

        lock (state)
        {
            if (state.Made is { } made)
            {
                return made;
            }

            if (state.Stored is null && !TensorMemory.IsFloat32OnHost(weight))
            {
                return null;
            }

            using var scope = NewDisposeScope();
            var values = state.Stored ?? weight;
            var derived = Array.ConvertAll(make(values), tensor => tensor.DetachFromDisposeScope());
            MappedPages.Release(values);
            if (state.Stored is null && restore is not null)
            {
                Parameters.Replace(weight, empty(weight.shape, device: META).DetachFromDisposeScope());
                state.Restore = restore;
            }

            state.Made = derived;
            return derived;
        }
    }

    /// <summary>A layer's weights as <see cref="LinearKernel"/> reads them; null if it does not compute with this input and weight.</summary>
    /// <param name="input">The layer's input.</param>
    /// <param name="weight">The layer's weight.</param>
    /// <param name="parts">Into how many parts the outputs are cut.</param>
    public static Tensor[]? Panels(Tensor input, Parameter weight, int parts = 1) => LinearKernel.Takes(input)
        ? Of(weight, values => WeightPanels.Of(values, parts), panels => WeightPanels.Join(panels, weight.shape))
        : null;

    /// <summary>A layer's weights as <see cref="WinogradConvolution"/> reads them; null if the weight is not one of float32 for the
    /// processor.</summary>
    /// <param name="weight">The layer's weight.</param>
    public static Tensor? Taps(Parameter weight) =>
        Of(weight, values => [WinogradConvolution.Weights(values)], taps => WinogradConvolution.Join(taps[0]))?[0];

    /// <summary>A layer's weights as <see cref="OneDnn"/> reads them; null if it does not compute with this input and weight.</summary>
    /// <param name="input">The layer's input.</param>
    /// <param name="weight">The layer's weight.</param>
    /// <param name="pack">Packs it.</param>
    public static Tensor? Packed(Tensor input, Parameter weight, Func<Tensor, Tensor> pack) => OneDnn.Takes(input)
        ? Of(weight, values => [pack(values.to(ScalarType.Float32))], packed => packed[0].to_dense())?[0]
        : null;

    /// <summary>A weight's values, whose place others may have taken; nothing changes by it.</summary>
    /// <param name="weight">The parameter.</param>
    /// <returns>The parameter itself, or a tensor that the caller disposes.</returns>
    public static Tensor Values(Tensor weight)
    {
        if (weight.device_type != DeviceType.META || !States.TryGetValue(weight, out var state))
        {
            return weight;
        }

        lock (state)
        {
            return state.Stored is { } stored ? stored.to(weight.dtype) : state.Made is { } made && state.Restore is { } restore ? restore(made) : weight;
        }
    }

    /// <summary>Gives a parameter its values back.</summary>
    public static void Restore(Tensor weight)
    {
        using var scope = NewDisposeScope();
        if (Values(weight) is var values && !ReferenceEquals(values, weight))
        {
            Parameters.Replace(weight, values.DetachFromDisposeScope());
        }
    }

    /// <summary>Lets the operating system have the pages of a weight's mapped file.</summary>
    public static void ReleasePages(Tensor weight) =>
        MappedPages.Release(States.TryGetValue(weight, out var state) && state.Stored is { } stored ? stored : weight);

    /// <summary>Frees what was made of a parameter's values.</summary>
    public static void Drop(Tensor weight)
    {
        if (States.TryGetValue(weight, out var state))
        {
            lock (state)
            {
                Array.ForEach(state.Made ?? [], tensor => tensor.Dispose());
                (state.Made, state.Restore) = (null, null);
            }
        }
    }

    /// <summary>Frees that and what is stored: the parameter gets other values, or goes.</summary>
    public static void Forget(Tensor weight)
    {
        Drop(weight);
        if (States.TryGetValue(weight, out var state))
        {
            state.Stored?.Dispose();
            state.Stored = null;
        }
    }

    private sealed class State
    {
        /// <summary>The values as they are stored; null if the parameter has been loaded.</summary>
        public Tensor? Stored { get; set; }

        /// <summary>What was made of them.</summary>
        public Tensor[]? Made { get; set; }

        /// <summary>Makes the values from that; null if they are in the parameter or stored.</summary>
        public Func<Tensor[], Tensor>? Restore { get; set; }
    }
}
