using System.Collections.Concurrent;
using System.Net;
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
                await FetchAsync(file, cancellationToken).ConfigureAwait(false);
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

    private async Task FetchAsync(HubFile file, CancellationToken cancellationToken)
    {
        var part = PartOf(file);
        await using (var target =
            new FileStream(part, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, 1 << 16, useAsync: true))
        {
            if (target.Length > file.Size)
            {
                target.SetLength(0);
            }

            target.Position = target.Length;
            Count(file, target.Length);
            var stuck = 0;
            while (target.Position < file.Size)
            {
                var before = target.Position;
                try
                {
                    await AppendAsync(file, target, cancellationToken).ConfigureAwait(false);
                }
                catch (Exception exception) when (exception is HttpRequestException or IOException and not ModelHubException
                    || (exception is OperationCanceledException && !cancellationToken.IsCancellationRequested))
                {
                    await target.FlushAsync(cancellationToken).ConfigureAwait(false);
                    stuck = target.Position > before ? 1 : stuck + 1;
                    if (stuck > options.Retries)
                    {
                        throw new ModelHubException($"The download of '{file.Path}' of '{model}' breaks off again and again, at "
                            + $"{ByteSize.Text(target.Position)} of {ByteSize.Text(file.Size)}: {exception.Message} What has arrived is kept; "
                            + "the same call goes on from there.", null, exception);
                    }

                    await Task.Delay(options.RetryDelay * Math.Pow(2, stuck - 1), cancellationToken).ConfigureAwait(false);
                }
            }

            target.Flush(flushToDisk: true);
            target.Position = 0;
            var actual = await file.HashAsync(target, cancellationToken).ConfigureAwait(false);
            if (actual != file.Hash)
            {
                // Nothing of it can be trusted, so that the next try begins from nothing.
                target.SetLength(0);
                throw new ModelHubException($"'{file.Path}' of '{model}' is not what was published: its hash is {actual}, expected "
                    + $"{file.Hash}. What arrived was deleted; try again, and check HF_ENDPOINT if it happens again.");
            }
        }

        File.Move(part, BlobOf(file), overwrite: true);
    }

    /// <summary>Appends what the server sends.</summary>
    private async Task AppendAsync(HubFile file, FileStream target, CancellationToken cancellationToken)
    {
        using var idle = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var response =
            await client.GetFileAsync(model, listing.Commit, file.Path, target.Position, idle.Token).ConfigureAwait(false);
        var range = response.Content.Headers.ContentRange;
        if (response.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable
            || (response.StatusCode == HttpStatusCode.PartialContent && range?.From != target.Position))
        {
            Restart(file, target);
            throw new IOException("the server does not go on where the file ends.");
        }

        if (response.StatusCode != HttpStatusCode.PartialContent)
        {
            Restart(file, target);
        }

        var whole = range?.Length ?? (response.Content.Headers.ContentLength + target.Position);
        if (whole is { } length && length != file.Size)
        {
            throw WrongSize(file, length);
        }

        var stream = await response.Content.ReadAsStreamAsync(idle.Token).ConfigureAwait(false);
        await using (stream.ConfigureAwait(false))
        {
            var buffer = new byte[1 << 18];
            while (true)
            {
                idle.CancelAfter(options.IdleTimeout);
                var read = await stream.ReadAsync(buffer, idle.Token).ConfigureAwait(false);
                if (read == 0)
                {
                    break;
                }

                if (target.Position + read > file.Size)
                {
                    target.SetLength(0);
                    throw WrongSize(file, null);
                }

                await target.WriteAsync(buffer.AsMemory(0, read), cancellationToken).ConfigureAwait(false);
                Count(file, read);
            }
        }

        if (target.Position < file.Size)
        {
            throw new IOException("the server ended the file before its end.");
        }
    }

    private void Restart(HubFile file, FileStream target)
    {
        Count(file, -target.Position);
        target.SetLength(0);
    }

    private ModelHubException WrongSize(HubFile file, long? length) => new(
        $"The server sends {(length is { } other ? $"{other:N0}" : "more")} bytes for '{file.Path}' of '{model}', but its list says "
            + $"{file.Size:N0}. Try again, and check HF_ENDPOINT if it happens again.");

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
