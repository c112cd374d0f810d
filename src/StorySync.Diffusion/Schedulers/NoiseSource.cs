using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Draws the noise that a step injects: independent standard normal numbers with the shape, dtype and device of
/// <paramref name="like"/>. A run calls it exactly when, and as often as, diffusers draws from its generator.</summary>
/// <param name="like">A tensor whose shape, dtype and device the noise takes; its values mean nothing.</param>
public delegate Tensor NoiseSource(Tensor like);
