namespace StorySync.Diffusion.Weights;

/// <summary>A tensor source that tells which of its tensors are views of a mapped file, and nothing else.</summary>
internal interface IMappedTensorSource : ITensorSource
{
    /// <summary>Determines whether <see cref="ITensorSource.Read"/> returns a view of the file.</summary>
    /// <param name="name">The name of a tensor.</param>
    bool IsView(string name);
}
