namespace StorySync.Samples;

/// <summary>Turns what the library calls by its members into this program's options.</summary>
internal static class OptionNames
{
    /// <summary>Returns a message of the library's in the user's words.</summary>
    public static string In(string message) => message
        .Replace("PipelineOptions.Offload = true", "--offload", StringComparison.Ordinal)
        .Replace("PipelineOptions.StreamBlocks = true", "--stream-blocks", StringComparison.Ordinal)
        .Replace("PipelineOptions.TiledDecoding = true", "--tiled-decoding", StringComparison.Ordinal)
        .Replace("PipelineOptions.Dtype = BFloat16", "--dtype bfloat16", StringComparison.Ordinal)
        .Replace("PipelineOptions.Quantization = Int8", "--quantization int8", StringComparison.Ordinal)
        .Replace("PipelineOptions.ChecksMemory = false", "--no-memory-check", StringComparison.Ordinal)
        .Replace("StoryOptions.Techniques.Layout.Until = 0", "--layout-until 0", StringComparison.Ordinal)
        .Replace("PipelineOptions.Offload", "--offload", StringComparison.Ordinal)
        .Replace("PipelineOptions.StreamBlocks", "--stream-blocks", StringComparison.Ordinal)
        .Replace("PipelineOptions.TiledDecoding", "--tiled-decoding", StringComparison.Ordinal)
        .Replace("PipelineOptions.Variant", "--variant", StringComparison.Ordinal)
        .Replace(", FluxRequest.TrueCfgScale above 1", ", for which this program has no option", StringComparison.Ordinal)
        .Replace("a GuidanceScale above 1", "--guidance above 1", StringComparison.Ordinal)
        .Replace("GuidanceScale has", "--guidance has", StringComparison.Ordinal)
        .Replace("GuidanceEnd has", "--guidance-end has", StringComparison.Ordinal)
        .Replace("Request has NegativePrompts", "--negative is given", StringComparison.Ordinal)
        .Replace("NegativePrompts has", "--negative has", StringComparison.Ordinal)
        .Replace("PreviewInterval has", "--previews has", StringComparison.Ordinal)
        .Replace("SameNoise has", "--same-noise has", StringComparison.Ordinal)
        .Replace("with Dtype ", "with --dtype ", StringComparison.Ordinal)
        .Replace("BlockCacheThreshold = 0", "no --block-cache", StringComparison.Ordinal)
        .Replace("Height = ", "--height ", StringComparison.Ordinal)
        .Replace(", Width = ", " --width ", StringComparison.Ordinal)
        .Replace("images in one batch", "scenes", StringComparison.Ordinal);
}
