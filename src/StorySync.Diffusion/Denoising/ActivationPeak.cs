namespace StorySync.Diffusion.Denoising;

/// <summary>Represents the moment of a pass at which the tensors that it made take most memory.</summary>
/// <param name="Where">The layer.</param>
/// <param name="Elements">The elements of all tensors together.</param>
internal readonly record struct ActivationPeak(string Where, double Elements)
{
    /// <summary>Gets the larger of two peaks.</summary>
    public ActivationPeak Or(ActivationPeak other) => other.Elements > Elements ? other : this;
}
