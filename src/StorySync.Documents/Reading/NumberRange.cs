using System.Globalization;
using StorySync.Pipelines;

namespace StorySync.Documents;

/// <summary>The values that a number may have, the same on the command line and in files.</summary>
/// <param name="Least">The least value.</param>
/// <param name="Most">The greatest value.</param>
/// <param name="IsOpen">Whether <paramref name="Least"/> itself is excluded.</param>
internal sealed record NumberRange(double Least, double Most, bool IsOpen = false)
{
    /// <summary>Any finite number.</summary>
    public static NumberRange Any { get; } = new(double.MinValue, double.MaxValue);

    /// <summary>Zero and above.</summary>
    public static NumberRange NotNegative { get; } = new(0, double.MaxValue);

    /// <summary>0 to 1.</summary>
    public static NumberRange Fraction { get; } = new(0, 1);

    /// <summary>Denoising steps.</summary>
    public static NumberRange Steps { get; } = new(1, GenerationRequest.MaxSteps);

    /// <summary>Pixels of a side.</summary>
    public static NumberRange Side { get; } = new(8, GenerationRequest.MaxSide);

    /// <summary>Parses a number with a decimal point.</summary>
    /// <param name="name">The option or key, for the message.</param>
    /// <param name="text">The text to parse.</param>
    /// <exception cref="DocumentException"><paramref name="text"/> is not a number of this range.</exception>
    public double Parse(string name, string text) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && Contains(value)
            ? value
            : throw new DocumentException(
                $"{name} is '{Brief(text)}'; it must be a "
                    + $"number{Text}{(text.Contains(',', StringComparison.Ordinal) ? ", with a decimal point" : "")}.");

    /// <summary>Parses a whole number.</summary>
    /// <inheritdoc cref="Parse"/>
    public long ParseWhole(string name, string text) =>
        long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) && Contains(value)
            ? value
            : throw new DocumentException($"{name} is '{Brief(text)}'; it must be a whole number{Text}.");

    private string Text
    {
        get
        {
            var (least, most) = (Least.ToString(CultureInfo.InvariantCulture), Most.ToString(CultureInfo.InvariantCulture));
            return (Least > double.MinValue, Most < double.MaxValue, IsOpen) switch
            {
                (false, _, _) => "",
                (true, true, false) => $" from {least} to {most}",
                (true, true, true) => $" above {least} and at most {most}",
                (true, false, false) => $", at least {least}",
                (true, false, true) => $" above {least}",
            };
        }
    }

    private static string Brief(string text) => text.Length <= 40 ? text : $"{text[..40]}…";

    private bool Contains(double value) => double.IsFinite(value) && value <= Most && (IsOpen ? value > Least : value >= Least);
}
