using System.Reflection;
using System.Text.RegularExpressions;

namespace StorySync.Diffusion.Weights;

/// <summary>Marks a config entry that says how many layers there are: before they are built, it is compared with the names of the tensors
/// in the checkpoint.</summary>
/// <param name="layers">A pattern for what precedes a layer's number in the names of its tensors, <c>encoder\.layers</c> for
/// example.</param>
[AttributeUsage(AttributeTargets.Property)]
internal sealed class LayerCountAttribute(string layers) : Attribute
{
    /// <summary>Gets the pattern for what precedes a layer's number.</summary>
    public string Layers => layers;

    /// <summary>Finds the first entry that asks for more layers than a checkpoint has.</summary>
    /// <returns>What is wrong, or null.</returns>
    public static string? Problem(object config, ITensorSource source) => Problem(config, config.GetType(), "", source);

    private static string? Problem(object config, Type type, string prefix, ITensorSource source)
    {
        foreach (var property in type.GetProperties().Where(property => property.GetIndexParameters().Length == 0))
        {
            if (property.GetCustomAttribute<LayerCountAttribute>() is { } attribute)
            {
                var asked = ComponentConfig.Items(property.GetValue(config)).OfType<int>().DefaultIfEmpty().Max();
                var found = attribute.Count(source);
                if (asked > (found > 0 ? found : source.Tensors.Count))
                {
                    return $"'{prefix}{ComponentConfig.KeyOf(property)}' is {asked}, but {source.Path} has "
                        + $"{(found > 0 ? $"{found} layers there" : $"{source.Tensors.Count} tensors in all")}; "
                        + "the config is another model's";
                }
            }
            else if (property.PropertyType.Namespace == type.Namespace && property.PropertyType.IsClass
                && property.GetValue(config) is { } inner
                && Problem(inner, property.PropertyType, $"{prefix}{ComponentConfig.KeyOf(property)}.", source) is { } problem)
            {
                return problem;
            }
        }

        return null;
    }

    private int Count(ITensorSource source)
    {
        var number = new Regex($@"(?:^|\.){layers}\.(\d{{1,7}})\.", RegexOptions.CultureInvariant);
        return source.Tensors.Keys.Select(name => number.Match(name)).Where(match => match.Success)
            .Select(match => int.Parse(match.Groups[1].ValueSpan, System.Globalization.CultureInfo.InvariantCulture) + 1)
            .DefaultIfEmpty().Max();
    }
}
