using System.Globalization;
using StorySync.Evaluation;
using StorySync.Pipelines;

namespace StorySync.Samples.Evaluate;

/// <summary>A way to spoil masks.</summary>
/// <param name="Kind">none, erode, dilate, shift (amounts in cells), speckle (probability that a cell turns over), drop or swap (share of
/// scenes whose mask is emptied or moved elsewhere).</param>
/// <param name="Amount">How much; 0 leaves masks as they are.</param>
internal sealed record MaskDamage(string Kind, double Amount)
{
    /// <summary>What every kind does by amount 0.</summary>
    public static MaskDamage None { get; } = new("none", 0);

    private static readonly string[] Kinds = ["erode", "dilate", "shift", "speckle", "drop", "swap"];

    /// <exception cref="UserErrorException">The kind is unknown or the amount out of range.</exception>
    public static MaskDamage Parse(string kind, string text)
    {
        if (!Kinds.Contains(kind))
        {
            throw new UserErrorException($"Masks cannot be damaged by '{kind}'; known are {string.Join(", ", Kinds)}.");
        }

        var most = kind is "speckle" or "drop" or "swap" ? 1 : 1000;
        return double.TryParse(text, CultureInfo.InvariantCulture, out var amount) && amount >= 0 && amount <= most
            ? amount == 0 ? None : new MaskDamage(kind, amount)
            : throw new UserErrorException($"The amount of '{kind}' is {text}; it must be a number from 0 to {most}.");
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
            "swap" => hit ? MaskDegradation.Swap(region) : region,
            _ => region,
        };
    }
}
