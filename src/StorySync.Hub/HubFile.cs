using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace StorySync.Hub;

/// <summary>A file of a repository.</summary>
/// <param name="Path">Its path in the repository, with slashes.</param>
/// <param name="Size">Its bytes.</param>
/// <param name="Hash">The name of its blob: the SHA-256 of a large file, Git's SHA-1 of a small one; lower-case hexadecimal.</param>
internal sealed record HubFile(string Path, long Size, string Hash)
{
    private bool IsLarge => Hash.Length == 64;

    /// <summary>Computes what <see cref="Hash"/> should be of a file's content.</summary>
    public async Task<string> HashAsync(Stream content, CancellationToken cancellationToken)
    {
        using var hash = IncrementalHash.CreateHash(IsLarge ? HashAlgorithmName.SHA256 : HashAlgorithmName.SHA1);
        if (!IsLarge)
        {
            hash.AppendData(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"blob {content.Length}\0")));
        }

        var buffer = new byte[1 << 20];
        for (int read; (read = await content.ReadAsync(buffer, cancellationToken).ConfigureAwait(false)) > 0;)
        {
            hash.AppendData(buffer, 0, read);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
