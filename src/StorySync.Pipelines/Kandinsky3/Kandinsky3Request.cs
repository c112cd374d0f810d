namespace StorySync.Pipelines;

/// <summary>Represents a request with what only Kandinsky 3 has.</summary>
public sealed record Kandinsky3Request : GenerationRequest
{
    /// <summary>Gets a value indicating whether all prompts of the request are cut to the length of the longest, as diffusers does. An
    /// image then depends on the prompts that it is generated with. By default each prompt is as long as it is, whatever the others are, so
    /// that an image depends on its own prompts and seed alone.</summary>
    public bool CutsToLongestPrompt { get; init; }
}
