using System.Text.Json.Serialization;

namespace StorySync.Pipelines;

/// <summary>Specifies how prompts are read. See <see cref="StableDiffusionXLRequest.PromptSyntax"/>.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<PromptSyntax>))]
public enum PromptSyntax
{
    /// <summary>As text, of which the first 77 tokens are read, as diffusers does it. A warning of the result has what was cut.</summary>
    Plain,

    /// <summary>As text of any length: chunks of 75 tokens are encoded one by one and put one after the other.</summary>
    Long,

    /// <summary>Of any length, with weights as AUTOMATIC1111's web UI has them: <c>(word)</c> for 1.1, <c>((word))</c> for 1.21,
    /// <c>(word:1.3)</c> for 1.3, <c>[word]</c> for 1 / 1.1; <c>\(</c>, <c>\)</c>, <c>\[</c>, <c>\]</c> and <c>\\</c> for the characters
    /// themselves; <c>BREAK</c> to begin the next chunk.</summary>
    Weighted,
}
