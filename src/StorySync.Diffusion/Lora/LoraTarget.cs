using StorySync.Diffusion.Weights;
using TorchSharp;

namespace StorySync.Diffusion.Lora;

/// <summary>A layer of the model that a layer of a file changes, or a part of whose matrix it changes.</summary>
/// <param name="Component">The component.</param>
/// <param name="Layer">The layer's name in it.</param>
/// <param name="Form">Which rows of the file's matrix are the layer's: FLUX's authors keep queries, keys and values in one.</param>
internal sealed record LoraTarget(torch.nn.Module Component, string Layer, TensorForm Form);
