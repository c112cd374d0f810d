using System.Globalization;
using System.Runtime.CompilerServices;

namespace StorySync.Attention;

/// <summary>Checks of options, with the option's name and range in the message. Null, the default's place, is not checked.</summary>
internal static class Require
{
    public static double? InRange(double? value, double min, double max, [CallerMemberName] string name = "") =>
        value is { } number ? InRange(number, min, max, name) : null;

    public static double InRange(double value, double min, double max, [CallerMemberName] string name = "") =>
        value >= min && value <= max
            ? value
            : throw new ArgumentOutOfRangeException(name, string.Create(
                CultureInfo.InvariantCulture,
                $"{name} is {value}; it must be {(max == double.MaxValue ? $"at least {min}" : $"between {min} and {max}")}."));

    public static int? AtLeast(int? value, int min, [CallerMemberName] string name = "") =>
        (int?)InRange(value, min, double.MaxValue, name);
}
