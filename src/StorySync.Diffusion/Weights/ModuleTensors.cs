using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>Enumerates the tensors of a module.</summary>
internal static class ModuleTensors
{
    /// <summary>Enumerates what a state dict holds of a module: parameters and persistent buffers.</summary>
    public static IEnumerable<ModuleTensor> Of(nn.Module module) =>
        ParametersOf(module).Concat(
            module.named_buffers(include_nonpersistent: false).Select(entry => new ModuleTensor(entry.name, entry.buffer, null)));

    /// <summary>Enumerates the parameters of a module.</summary>
    /// <remarks>TorchSharp's <c>named_parameters</c> tells parameters apart by their native handles. While another thread's run packs
    /// weights, handles are freed and given out again, and it passes over parameters.</remarks>
    public static IEnumerable<ModuleTensor> ParametersOf(nn.Module module)
    {
        ArgumentNullException.ThrowIfNull(module);
        var seen = new HashSet<Tensor>(ReferenceEqualityComparer.Instance);
        return ParametersOf(module, "").Where(parameter => seen.Add(parameter.Tensor));
    }

    private static IEnumerable<ModuleTensor> ParametersOf(nn.Module module, string prefix) =>
        module.named_parameters(recurse: false).ToArray()
            .Select(entry => new ModuleTensor(
                prefix + entry.name, entry.parameter, entry.name == "weight" ? (module as IWeightOwner)?.Storage : null))
            .Concat(module.named_children().SelectMany(child => ParametersOf(child.module, $"{prefix}{child.name}.")));
}
