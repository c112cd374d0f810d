using StorySync.Evaluation;
using StorySync.Pipelines;

namespace StorySync.Samples.Evaluate;

/// <summary>A way to spoil masks.</summary>
/// <param name="Kind">erode, dilate, shift (amounts in cells), speckle (probability that a cell turns over), drop or swap (share of
/// scenes whose mask is emptied or moved elsewhere).</param>
/// <param name="Amount">How much; 0 leaves masks as they are.</param>
internal sealed record MaskDamage(string Kind, double Amount)
{
    private static readonly string[] Kinds = ["erode", "dilate", "shift", "speckle", "drop", "swap"];

    /// <exception cref="ArgumentException">The kind is unknown or the amount out of range.</exception>
    public static MaskDamage Parse(string kind, double amount)
    {
        if (!Kinds.Contains(kind))
        {
            throw new ArgumentException($"Masks cannot be damaged by '{kind}'; known are {string.Join(", ", Kinds)}.");
        }

        var most = kind is "speckle" or "drop" or "swap" ? 1 : 1000;
        return amount >= 0 && amount <= most
            ? new MaskDamage(kind, amount)
            : throw new ArgumentException($"The amount of '{kind}' is {amount}; it must be from 0 to {most}.");
    }

    /// <param name="region">The good mask.</param>
    /// <param name="scene">Which scene's, from 0.</param>
    /// <param name="scenes">How many there are.</param>
    public SubjectRegion Apply(SubjectRegion region, int scene, int scenes)
    {
        var hit = scene < Math.Round(Amount * scenes);
        return Kind switch
        {
            "erode" => MaskDegradation.Erode(region, (int)Amount),
            "dilate" => MaskDegradation.Dilate(region, (int)Amount),
            "shift" => MaskDegradation.Shift(region, (int)Amount, 0),
            "speckle" => MaskDegradation.Speckle(region, Amount, scene),
            "drop" => hit ? MaskDegradation.Drop(region) : region,
            _ => hit ? MaskDegradation.Swap(region) : region,
        };
    }
}
