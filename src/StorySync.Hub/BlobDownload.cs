using System.Net;
using StorySync.Diffusion.Weights;

namespace StorySync.Hub;

/// <summary>The download of one file's content, which goes on where an earlier one broke off.</summary>
/// <param name="client">Asks the server.</param>
/// <param name="options">How often it tries, and how long it waits.</param>
/// <param name="model">The model.</param>
/// <param name="commit">The commit that the file is of.</param>
/// <param name="file">The file.</param>
/// <param name="part">Where its beginning is kept.</param>
/// <param name="count">Receives the bytes that have arrived since it was last called; less than 0 for those that are given up.</param>
internal sealed class BlobDownload(
    HubClient client, ModelHubOptions options, string model, string commit, HubFile file, string part, Action<long> count)
{
    /// <summary>Downloads what is missing of the file, and checks all of it.</summary>
    /// <exception cref="ModelHubException">The server does not send the file, or another one.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        await using var target =
            new FileStream(part, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, 1 << 16, useAsync: true);
        if (target.Length > file.Size)
        {
            target.SetLength(0);
        }

        target.Position = target.Length;
        count(target.Length);
        var stuck = 0;
        while (target.Position < file.Size)
        {
            var before = target.Position;
            try
            {
                await AppendAsync(target, cancellationToken).ConfigureAwait(false);
            }
            catch (Exception exception) when (exception is HttpRequestException or IOException and not ModelHubException
                || (exception is OperationCanceledException && !cancellationToken.IsCancellationRequested))
            {
                await target.FlushAsync(cancellationToken).ConfigureAwait(false);
                stuck = target.Position > before ? 1 : stuck + 1;
                if (stuck > options.Retries)
                {
                    throw new ModelHubException($"The download of '{file.Path}' of '{model}' breaks off again and again, at "
                        + $"{ByteSize.Text(target.Position)} of {ByteSize.Text(file.Size)}: {exception.Message} What has arrived is "
                        + "kept; the same call goes on from there.", null, exception);
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
            Restart(target);
            throw new ModelHubException($"'{file.Path}' of '{model}' is not what was published: its hash is {actual}, expected "
                + $"{file.Hash}. What arrived was deleted; try again, and check HF_ENDPOINT if it happens again.");
        }
    }

    /// <summary>Appends what the server sends.</summary>
    private async Task AppendAsync(FileStream target, CancellationToken cancellationToken)
    {
        using var idle = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var response =
            await client.GetFileAsync(model, commit, file.Path, target.Position, idle.Token).ConfigureAwait(false);
        var range = response.Content.Headers.ContentRange;
        if (response.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable
            || (response.StatusCode == HttpStatusCode.PartialContent && range?.From != target.Position))
        {
            Restart(target);
            throw new IOException("the server does not go on where the file ends.");
        }

        if (response.StatusCode != HttpStatusCode.PartialContent)
        {
            Restart(target);
        }

        var whole = range?.Length ?? (response.Content.Headers.ContentLength + target.Position);
        if (whole is { } length && length != file.Size)
        {
            throw WrongSize(length);
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
                    Restart(target);
                    throw WrongSize(null);
                }

                await target.WriteAsync(buffer.AsMemory(0, read), cancellationToken).ConfigureAwait(false);
                count(read);
            }
        }

        if (target.Position < file.Size)
        {
            throw new IOException("the server ended the file before its end.");
        }
    }

    private void Restart(FileStream target)
    {
        count(-target.Position);
        target.SetLength(0);
    }

    private ModelHubException WrongSize(long? length) => new(
        $"The server sends {(length is { } other ? $"{other:N0}" : "more")} bytes for '{file.Path}' of '{model}', but its list says "
            + $"{file.Size:N0}. Try again, and check HF_ENDPOINT if it happens again.");
}
