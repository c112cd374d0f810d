using StorySync.Attention;
using StorySync.Diffusion.Layers;
using TorchSharp;

namespace StorySync.Diffusion;

/// <summary>Represents the attention processors of a denoiser, by the path of their layer (diffusers' <c>attn_processors</c>, without its
/// <c>.processor</c> suffix). Set them before a run, not during one.</summary>
public sealed class AttentionProcessors
{
    private readonly Dictionary<string, IAttentionLayer> layers = [];

    internal AttentionProcessors(torch.nn.Module model)
    {
        foreach (var (path, module) in model.named_modules())
        {
            if (module is IAttentionLayer layer)
            {
                layer.Layer = layer.Layer with { Path = path };
                layers.Add(path, layer);
            }
        }
    }

    /// <summary>Gets the layers, in the order of the modules.</summary>
    public IEnumerable<AttentionLayer> Layers => layers.Values.Select(l => l.Layer);

    /// <summary>Gets the processor of one layer.</summary>
    /// <param name="path">The layer's path.</param>
    /// <exception cref="KeyNotFoundException">The model has no attention layer of that path.</exception>
    public IAttentionProcessor this[string path]
    {
        get => Find(path).Processor;
        set
        {
            ArgumentNullException.ThrowIfNull(value);
            Find(path).Processor = value;
        }
    }

    /// <summary>Sets one processor on every layer.</summary>
    /// <param name="processor">The processor; <see cref="PlainAttention.Instance"/> restores the model's own.</param>
    public void SetAll(IAttentionProcessor processor)
    {
        ArgumentNullException.ThrowIfNull(processor);
        foreach (var layer in layers.Values)
        {
            layer.Processor = processor;
        }
    }

    private IAttentionLayer Find(string path) => layers.TryGetValue(path, out var layer)
        ? layer
        : throw new KeyNotFoundException(
            $"There is no attention layer '{path}'. The model's {layers.Count} layers have paths such as "
                + $"'{layers.Keys.FirstOrDefault()}'.");
}
