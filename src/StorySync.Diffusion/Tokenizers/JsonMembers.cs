using System.Text.Json;

namespace StorySync.Diffusion.Tokenizers;

internal static class JsonMembers
{
    /// <summary>Returns the member of an object; null where the object, the member or its value is missing.</summary>
    public static JsonElement? Member(this JsonElement? element, string name) =>
        element is { ValueKind: JsonValueKind.Object } && element.Value.TryGetProperty(name, out var value)
            && value.ValueKind != JsonValueKind.Null ? value : null;
}
