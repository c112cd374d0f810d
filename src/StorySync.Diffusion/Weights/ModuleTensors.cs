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
    public static IEnumerable<ModuleTensor> ParametersOf(nn.Module module)
    {
        ArgumentNullException.ThrowIfNull(module);
        var storages = new Dictionary<Tensor, WeightStorage>(ReferenceEqualityComparer.Instance);
        foreach (var part in module.modules().Prepend(module))
        {
            if (part is IWeightOwner owner)
            {
                storages[part.get_parameter("weight")!] = owner.Storage;
            }
        }

        return module.named_parameters().Select(entry =>
            new ModuleTensor(entry.name, entry.parameter, storages.GetValueOrDefault(entry.parameter)));
    }
}
