using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>What a state dict holds of a module.</summary>
internal static class ModuleTensors
{
    public static IEnumerable<(string Name, Tensor Tensor)> Of(nn.Module module)
    {
        ArgumentNullException.ThrowIfNull(module);
        return module.named_parameters().Select(entry => (entry.name, (Tensor)entry.parameter))
            .Concat(module.named_buffers(include_nonpersistent: false));
    }
}
