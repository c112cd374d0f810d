namespace StorySync.Diffusion.Denoising;

/// <summary>Represents the moment of a pass at which the tensors that it made take most memory.</summary>
/// <param name="Where">The layer.</param>
/// <param name="Elements">The elements of all tensors together.</param>
internal readonly record struct ActivationPeak(string Where, double Elements)
{
    /// <summary>Gets the larger of two peaks.</summary>
    public ActivationPeak Or(ActivationPeak other) => other.Elements > Elements ? other : this;
}

/// <summary>Follows a pass through a UNet and counts the elements of the tensors that are there.</summary>
internal sealed class ActivationCount
{
    private readonly Stack<double> kept = [];
    private double keptElements;

    /// <summary>Gets a value indicating whether one kernel projects and gates in feed-forward parts.</summary>
    public bool FusesGates { get; init; }

    /// <summary>Gets the peak so far.</summary>
    public ActivationPeak Peak { get; private set; } = new("", 0);

    /// <summary>Counts a tensor that stays for the way up.</summary>
    public void Keep(double elements)
    {
        kept.Push(elements);
        keptElements += elements;
    }

    /// <summary>Counts the tensor that was kept last no more.</summary>
    public void Free() => keptElements -= kept.Pop();

    /// <summary>Counts what a layer makes besides the tensors that are kept.</summary>
    public void At(string where, double elements) => Peak = Peak.Or(new(where, keptElements + elements));
}
