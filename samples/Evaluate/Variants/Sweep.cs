using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using StorySync.Pipelines;

namespace StorySync.Samples.Evaluate;

/// <summary>Variants that differ in one constant.</summary>
internal static class Sweep
{
    /// <param name="text"><c>constant=value,value,…</c>. The constant is <c>scenes</c>, <c>damage.erode</c> (or <c>dilate</c>,
    /// <c>shift</c>,
    /// <c>speckle</c>, <c>drop</c>, <c>swap</c>), or the path of an option: <c>sharing.strength</c>, <c>layout.until</c>,
    /// <c>steps</c>.</param>
    /// <param name="start">The variant to vary.</param>
    /// <exception cref="UserErrorException">The constant is unknown, or a value is invalid.</exception>
    public static IEnumerable<Variant> Points(string text, Variant start)
    {
        if (text.Split('=', 2, StringSplitOptions.TrimEntries) is not [{ Length: > 0 } axis, var list]
            || list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) is not { Length: > 0 } values)
        {
            throw new UserErrorException(
                $"The sweep '{text}' is not of the form constant=value,value,…, such as sharing.strength=0.5,1,2.");
        }

        return values.Select(label =>
        {
            var point = At(axis, label, start);
            return point with
            {
                Name = $"{start.Name}, {axis} {label}",
                Point = new SweepPoint(axis, start.Name, label, IsDefault: point == start),
            };
        });
    }

    private static Variant At(string axis, string label, Variant start)
    {
        if (axis == "scenes")
        {
            return int.TryParse(label, CultureInfo.InvariantCulture, out var scenes) && scenes > 0
                ? start with { Scenes = scenes }
                : throw new UserErrorException($"A story cannot have {label} scenes; expected a whole number of at least 1.");
        }

        if (axis.StartsWith("damage.", StringComparison.Ordinal))
        {
            return start with { Damage = MaskDamage.Parse(axis["damage.".Length..], label) };
        }

        var path = axis.Split('.');
        if (!Has(typeof(StoryOptions), path[0]))
        {
            path = [Has(typeof(GenerationRequest), path[0]) ? "request" : "techniques", .. path];
        }

        JsonNode value = Literal(label);
        foreach (var name in path.Reverse())
        {
            value = new JsonObject { [name] = value };
        }

        return start with { Options = OptionsPatch.Apply(start.Options, value.AsObject(), $"sweep of {axis}") };
    }

    private static bool Has(Type options, string name) =>
        options.GetProperties().Any(option => option.Name.Equals(name, StringComparison.OrdinalIgnoreCase));

    /// <summary>A number or true or false where it is one, else a text.</summary>
    private static JsonNode Literal(string text)
    {
        try
        {
            return JsonNode.Parse(text, documentOptions: new() { AllowDuplicateProperties = false })!;
        }
        catch (JsonException)
        {
            return JsonValue.Create(text);
        }
    }
}
