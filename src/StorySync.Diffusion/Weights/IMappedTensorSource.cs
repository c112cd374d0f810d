namespace StorySync.Diffusion.Weights;

/// <summary>A tensor source that tells which of its tensors are views of a mapped file, and nothing else.</summary>
internal interface IMappedTensorSource : ITensorSource
{
    /// <summary>Determines whether <see cref="ITensorSource.Read"/> returns a view of the file.</summary>
    /// <param name="name">The name of a tensor.</param>
    bool IsView(string name);

    /// <summary>Notes that the view of a tensor is kept.</summary>
    /// <param name="name">The name of the tensor.</param>
    void Hold(string name);

    /// <summary>Gets the files that views are kept of.</summary>
    IEnumerable<MappedFile> FilesInUse { get; }
}
