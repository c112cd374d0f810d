using StorySync.Diffusion.Weights;

namespace StorySync.Pipelines;

/// <summary>The loading of a pipeline, part by part. What is loaded is remembered, to be released if a further part fails.</summary>
/// <param name="folder">The model.</param>
/// <param name="options">How it is loaded.</param>
/// <param name="progress">The provider that receives progress updates before each part.</param>
/// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each part.</param>
internal sealed class LoadJob(
    ModelFolder folder, PipelineOptions options, IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default)
{
    private readonly List<IDisposable> loaded = [];

    public ModelFolder Folder { get; } = folder;

    /// <summary>Gets the folder that has the denoiser and the scheduler; usually the same.</summary>
    public ModelFolder Denoiser { get; init; } = folder;

    /// <summary>Gets the folders that weights come from.</summary>
    public IReadOnlyList<ModelFolder> Folders => [.. new[] { Folder, Denoiser }.Distinct()];

    public PipelineOptions Options { get; } = options;

    /// <summary>Loads a part.</summary>
    /// <param name="part">Its folder.</param>
    /// <param name="load">Loads it from there.</param>
    public T Load<T>(string part, Func<string, T> load)
        where T : IDisposable
    {
        cancellationToken.ThrowIfCancellationRequested();
        progress?.Report(new LoadProgress { Part = part, Loaded = loaded.Count });
        cancellationToken.ThrowIfCancellationRequested();
        var result = load(part);
        loaded.Add(result);
        return result;
    }

    /// <summary>Releases what was loaded.</summary>
    public void Release()
    {
        loaded.ForEach(part => part.Dispose());
        foreach (var file in Folders.SelectMany(folder => folder.FilesInUse))
        {
            file.Dispose();
        }
    }
}
