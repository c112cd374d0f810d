using StorySync.Diffusion.Weights;

namespace StorySync.Hub;

/// <summary>Downloads models into the Hugging Face cache, in its published layout
/// (https://huggingface.co/docs/huggingface_hub/guides/manage-cache), which Python's libraries share.</summary>
public static class ModelHub
{
    /// <summary>Downloads the files of a model that this library reads; what is there already is not downloaded again.</summary>
    /// <param name="model"><c>organisation/name</c>, with <c>@revision</c> if it is not to be <paramref name="revision"/>.</param>
    /// <param name="revision">A branch, tag or commit; null (default) for <c>main</c>.</param>
    /// <param name="variant">The variant of the weight files to prefer, such as <c>fp16</c>; null (default) for the plain ones. Give the
    /// same when the model is loaded.</param>
    /// <param name="options">Server, token, cache; null for what the environment variables say.</param>
    /// <param name="progress">The provider that receives progress updates, from several threads.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests. What has arrived is kept for the next time.</param>
    /// <returns>The model's folder; its name opens it too, once it is downloaded.</returns>
    /// <exception cref="ArgumentException"><paramref name="model"/> is not a name of a model, or two revisions are given.</exception>
    /// <exception cref="ModelHubException">The model could not be found, its license was not accepted, the server does not answer, a file
    /// is not what was published, or the disk has no room for it.</exception>
    /// <exception cref="OperationCanceledException">The download was canceled.</exception>
    public static async Task<string> DownloadAsync(
        string model, string? revision = null, string? variant = null, ModelHubOptions? options = null,
        IProgress<DownloadProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(model);
        if (HubCache.Parse(model) is not (var id, _) || (revision is not null && HubCache.Parse($"{id}@{revision}") is null))
        {
            throw new ArgumentException($"'{model}{(revision is null ? "" : $"@{revision}")}' is not a name of a model; expected "
                + "organisation/name or organisation/name@revision.", nameof(model));
        }

        if (revision is not null && model != id)
        {
            throw new ArgumentException($"'{model}' names a revision, and so does the argument, '{revision}'; give one.", nameof(revision));
        }

        var name = revision is null ? model : $"{id}@{revision}";
        options ??= new();
        if (options.IsOffline)
        {
            try
            {
                return new HubCache(options.CacheFolder).Resolve(name);
            }
            catch (ModelFileException exception)
            {
                throw new ModelHubException(
                    $"{exception.Message}. Nothing is downloaded while HF_HUB_OFFLINE is set, or ModelHubOptions.IsOffline.",
                    null,
                    exception);
            }
        }

        using var client = new HubClient(options);
        return await new ModelDownload(client, options, id, HubCache.Parse(name)!.Value.Revision, variant, progress)
            .RunAsync(cancellationToken).ConfigureAwait(false);
    }
}
