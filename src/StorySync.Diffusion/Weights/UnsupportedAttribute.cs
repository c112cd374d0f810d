using System.ComponentModel.DataAnnotations;

namespace StorySync.Diffusion.Weights;

/// <summary>Marks a config entry for a part that this library does not have: it must be missing or null.</summary>
[AttributeUsage(AttributeTargets.Property)]
internal sealed class UnsupportedAttribute : ValidationAttribute
{
    public override bool IsValid(object? value) => value is null;

    public override string FormatErrorMessage(string name) => $"models with '{name}' are not supported";
}
