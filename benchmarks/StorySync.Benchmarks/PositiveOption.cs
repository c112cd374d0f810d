using System.CommandLine;
using System.Globalization;

namespace StorySync.Benchmarks;

/// <summary>An option that takes a whole number from 1.</summary>
internal static class PositiveOption
{
    public static Option<int> Create(string name, int otherwise, string description)
    {
        var option = new Option<int>(name) { DefaultValueFactory = _ => otherwise, Description = description };
        option.Validators.Add(result =>
        {
            if (result.Tokens.Any(token => int.TryParse(token.Value, CultureInfo.InvariantCulture, out var value) && value < 1))
            {
                result.AddError($"{name} must be at least 1.");
            }
        });
        return option;
    }
}
