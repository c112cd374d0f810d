namespace StorySync.Diffusion.Weights;

/// <summary>Where a model's small files are: configs and vocabularies.</summary>
internal interface IModelContents
{
    /// <summary>What messages call a file, or a component's folder where the file is empty.</summary>
    string PathOf(string component, string file);

    /// <summary>Determines whether there is a file.</summary>
    bool Has(string component, string file);

    /// <summary>Reads a file; null if there is none.</summary>
    /// <exception cref="ModelFileException">It cannot be read.</exception>
    FileContent? TryRead(string component, string file);
}

/// <summary>The small files of a model that is a folder.</summary>
/// <param name="root">The folder.</param>
internal sealed class FolderContents(string root) : IModelContents
{
    public string PathOf(string component, string file) => Path.Combine(root, component, file);

    public bool Has(string component, string file) => File.Exists(PathOf(component, file));

    public FileContent? TryRead(string component, string file) => Has(component, file) ? FileContent.Read(PathOf(component, file)) : null;
}
