using System.Security.Cryptography;
using System.Text.Json.Serialization;

namespace StorySync.Diffusion.Weights;

/// <summary>Represents the result of the check of a file's content.</summary>
/// <param name="Path">The file.</param>
/// <param name="State">Whether it is what was published.</param>
public sealed record FileCheck(string Path, FileState State)
{
    /// <summary>Compares a file's SHA-256 with the name of the blob that it links to.</summary>
    internal static async Task<FileCheck> OfAsync(string path, CancellationToken cancellationToken)
    {
        var blob = new FileInfo(path).ResolveLinkTarget(returnFinalTarget: true);
        if (blob is { Exists: false })
        {
            return new(path, FileState.Missing);
        }

        // Small files are kept under their Git hash, which has 40 digits and is no check of content worth the name.
        if (blob is not { Name: { Length: 64 } expected } || !expected.All(char.IsAsciiHexDigitLower))
        {
            return new(path, FileState.Unknown);
        }

        await using var stream = new FileStream(blob.FullName, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 20, useAsync: true);
        var actual = Convert.ToHexStringLower(await SHA256.HashDataAsync(stream, cancellationToken).ConfigureAwait(false));
        return new(path, actual == expected ? FileState.Intact : FileState.Damaged);
    }
}

/// <summary>Specifies the state of a file of a model.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<FileState>))]
public enum FileState
{
    /// <summary>Nothing tells what the file's content should be.</summary>
    Unknown,

    /// <summary>The content is what was published.</summary>
    Intact,

    /// <summary>The content is not what was published; delete the file and download it again.</summary>
    Damaged,

    /// <summary>The cache has a name for the file, but not its content: the download is not complete.</summary>
    Missing,
}
