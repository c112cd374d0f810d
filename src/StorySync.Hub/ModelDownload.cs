using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using System.Text;
using StorySync.Diffusion.Weights;

namespace StorySync.Hub;

/// <summary>The download of one model.</summary>
internal sealed class ModelDownload
{
    private readonly HubClient client;
    private readonly ModelHubOptions options;
    private readonly string model;
    private readonly string revision;
    private readonly string? variant;
    private readonly IProgress<DownloadProgress>? progress;
    private readonly string folder;
    private readonly Lock counting = new();
    private HubListing listing = null!;
    private int files;
    private int completedFiles;
    private long bytes;
    private long completedBytes;

    public ModelDownload(
        HubClient client, ModelHubOptions options, string model, string revision, string? variant, IProgress<DownloadProgress>? progress)
    {
        (this.client, this.options, this.model, this.revision, this.variant, this.progress) =
            (client, options, model, revision, variant, progress);
        folder = new HubCache(options.CacheFolder).FolderOf(model);
    }

    private string Snapshot => Path.Combine(folder, "snapshots", listing.Commit);

    /// <summary>Downloads what is missing.</summary>
    /// <returns>The folder of the snapshot.</returns>
    public async Task<string> RunAsync(CancellationToken cancellationToken)
    {
        listing = await client.ListAsync(model, revision, cancellationToken).ConfigureAwait(false);
        var small = listing.Small(variant).ToList();
        if (small.Count == 0)
        {
            throw new ModelHubException($"'{model}' has no files that this library reads: it needs a model_index.json with a folder for "
                + "each component, or a config.json with weights. A checkpoint in a single file is downloaded from its page and given by its path.");
        }

        try
        {
            Directory.CreateDirectory(Path.Combine(folder, "blobs"));
            await DownloadAsync(small, cancellationToken).ConfigureAwait(false);
            var weights = listing.Weights(variant, file => File.ReadAllText(Path.Combine(Snapshot, file.Path)))
                .DistinctBy(file => file.Path).ToList();
            CheckSpace(weights);
            await DownloadAsync(weights, cancellationToken).ConfigureAwait(false);
            WriteReference();
        }
        catch (FormatException exception)
        {
            throw new ModelHubException($"'{model}' cannot be downloaded: {exception.Message}.", null, exception);
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException || (exception is IOException and not ModelHubException))
        {
            throw new ModelHubException(
                $"The Hugging Face cache {options.CacheFolder} cannot be written: {exception.Message} "
                    + "Set HF_HUB_CACHE to a folder where you may write.", null, exception);
        }

        return Snapshot;
    }

    private string BlobOf(HubFile file) => Path.Combine(folder, "blobs", file.Hash);

    /// <summary>Where the beginning of a file is kept, under the name that Python's library gives it.</summary>
    private string PartOf(HubFile file) => BlobOf(file) + ".incomplete";

    private static long LengthOf(string path) => new FileInfo(path) is { Exists: true, Length: var length } ? length : 0;

    private bool IsThere(HubFile file) => File.Exists(BlobOf(file)) && LengthOf(BlobOf(file)) == file.Size;

    private void CheckSpace(List<HubFile> weights)
    {
        var needed = weights.DistinctBy(file => file.Hash).Where(file => !IsThere(file)).Sum(file => file.Size - LengthOf(PartOf(file)));
        var free = options.FreeBytes(folder);
        if (needed > free)
        {
            throw new ModelHubException($"'{model}' needs {ByteSize.Text(needed)} more, but the disk of {options.CacheFolder} has "
                + $"{ByteSize.Text(free)} free. Free some, or set HF_HUB_CACHE to a folder on another disk.");
        }
    }

    private async Task DownloadAsync(List<HubFile> wanted, CancellationToken cancellationToken)
    {
        lock (counting)
        {
            files += wanted.Count;
            bytes += wanted.Sum(file => file.Size);
        }

        // The first fault stops the other downloads; it is what the caller should read.
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var faults = new ConcurrentQueue<Exception>();
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = options.MaxParallelFiles, CancellationToken = stop.Token };
        try
        {
            await Parallel.ForEachAsync(wanted.GroupBy(file => file.Hash), parallel, async (same, token) =>
            {
                try
                {
                    await DownloadBlobAsync([.. same], token).ConfigureAwait(false);
                }
                catch (Exception exception) when (exception is not OperationCanceledException)
                {
                    faults.Enqueue(exception);
                    await stop.CancelAsync().ConfigureAwait(false);
                }
            }).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested && !faults.IsEmpty)
        {
            // What stopped the others is thrown next.
        }

        cancellationToken.ThrowIfCancellationRequested();
        if (faults.TryDequeue(out var first))
        {
            ExceptionDispatchInfo.Throw(first);
        }
    }

    /// <summary>Downloads a blob and links the files that have it as their content.</summary>
    private async Task DownloadBlobAsync(HubFile[] same, CancellationToken cancellationToken)
    {
        var file = same[0];
        if (IsThere(file))
        {
            Count(file, file.Size);
        }
        else
        {
            using var held = await LockAsync(file, cancellationToken).ConfigureAwait(false);

            // Another program may have downloaded it meanwhile.
            if (IsThere(file))
            {
                Count(file, file.Size);
            }
            else
            {
                var blob = new BlobDownload(client, options, model, listing.Commit, file, PartOf(file), more => Count(file, more));
                await blob.RunAsync(cancellationToken).ConfigureAwait(false);
                File.Move(PartOf(file), BlobOf(file), overwrite: true);
            }
        }

        foreach (var each in same)
        {
            Link(each);
            Count(each, each == file ? 0 : each.Size, isComplete: true);
        }
    }

    /// <summary>Holds the lock that Python's library takes too: one program at a time downloads a blob. What a held one is told by are the
    /// errors of Linux, Windows (two) and macOS.</summary>
    private async Task<FileStream> LockAsync(HubFile file, CancellationToken cancellationToken)
    {
        var path = Path.Combine(options.CacheFolder, ".locks", Path.GetFileName(folder), file.Hash + ".lock");
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        while (true)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException exception) when ((exception.HResult & 0xFFFF) is 11 or 32 or 33 or 35)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(200), cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private void Link(HubFile file)
    {
        var path = Path.Combine([Snapshot, .. file.Path.Split('/')]);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        if (File.Exists(path) && LengthOf(path) == file.Size && (new FileInfo(path).LinkTarget is null || LinksTo(path, BlobOf(file))))
        {
            return;
        }

        File.Delete(path);
        try
        {
            options.Link(path, Path.GetRelativePath(Path.GetDirectoryName(path)!, BlobOf(file)));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // On Windows links need a right that few users have.
            File.Copy(BlobOf(file), path);
        }
    }

    private static bool LinksTo(string path, string blob) =>
        new FileInfo(path).ResolveLinkTarget(returnFinalTarget: true)?.FullName == Path.GetFullPath(blob);

    /// <summary>Notes which commit a branch or tag stands for, once all files are there.</summary>
    private void WriteReference()
    {
        if (revision != listing.Commit)
        {
            var path = Path.Combine([folder, "refs", .. revision.Split('/')]);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            AtomicFile.Write(path, stream => stream.Write(Encoding.ASCII.GetBytes(listing.Commit)));
        }
    }

    private void Count(HubFile file, long more, bool isComplete = false)
    {
        lock (counting)
        {
            completedBytes += more;
            completedFiles += isComplete ? 1 : 0;
            progress?.Report(new DownloadProgress
            {
                File = file.Path,
                CompletedFiles = completedFiles,
                Files = files,
                CompletedBytes = completedBytes,
                Bytes = bytes,
            });
        }
    }
}
