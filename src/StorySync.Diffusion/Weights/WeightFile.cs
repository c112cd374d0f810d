namespace StorySync.Diffusion.Weights;

/// <summary>Files of weights as people have them, whatever their format: safetensors, with 8-bit floats and their scales, or
/// GGUF.</summary>
internal static class WeightFile
{
    /// <summary>Opens a file. No tensor is read but the scales of weights.</summary>
    /// <param name="path">The file.</param>
    /// <param name="maps">Whether tensors are views of the mapped file, or read into memory of their own.</param>
    /// <exception cref="ModelFileException">The file is missing, damaged or of another format.</exception>
    public static ITensorSource Open(string path, bool maps = true) =>
        GgufFile.IsGguf(path) ? GgufFile.Open(path, maps) : ScaledWeights.Of(SafetensorsFile.Open(path, maps));
}
