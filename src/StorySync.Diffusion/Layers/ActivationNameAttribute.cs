using System.ComponentModel.DataAnnotations;

namespace StorySync.Diffusion.Layers;

/// <summary>Marks a config entry that names an activation.</summary>
/// <param name="prefix">What may stand before the name.</param>
[AttributeUsage(AttributeTargets.Property)]
internal sealed class ActivationNameAttribute(string prefix = "") : ValidationAttribute
{
    /// <summary>Gets what may stand before the name.</summary>
    public string Prefix => prefix;

    public override bool IsValid(object? value) =>
        value is string name && (Activation.Names.Contains(name) || (prefix.Length > 0
            && name.StartsWith(prefix, StringComparison.Ordinal) && Activation.Names.Contains(name[prefix.Length..])));

    public override string FormatErrorMessage(string name) => $"it must be one of {string.Join(", ", Activation.Names)}"
        + (prefix.Length > 0 ? $", or {prefix} and one of them" : "");
}
