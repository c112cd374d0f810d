using System.Text;
using System.Text.RegularExpressions;

namespace StorySync.Diffusion.Weights;

/// <summary>Says what a file is that should be a safetensors file and is none.</summary>
internal static partial class ForeignFile
{
    private const string Remedy = "Pickle files can run code when they are loaded, so they are never read. Get the model's safetensors "
        + "version: most pages of models offer one next to the pickle, and on the Hugging Face Hub it may be in the model's pull "
        + "requests (as organisation/name@refs/pr/1)";

    /// <exception cref="ModelFileException">The name's extension is one that pickles have.</exception>
    public static void ThrowIfPickleByName(string path)
    {
        if (Path.GetExtension(path).ToUpperInvariant() is ".CKPT" or ".BIN" or ".PT" or ".PTH" or ".PKL" && File.Exists(path))
        {
            throw Pickle(path);
        }
    }

    public static ModelFileException Pickle(string path) => new(path, $"a PyTorch pickle. {Remedy}");

    /// <summary>Returns the exception for a file without content, and for pipes and devices.</summary>
    public static ModelFileException Empty(string path) => new(path, "an empty file, or no regular one: download it again");

    /// <summary>Returns the exception for a file that does not start as a safetensors file does.</summary>
    public static ModelFileException Detect(Stream stream, string path)
    {
        Span<byte> start = stackalloc byte[512];
        stream.Position = 0;
        start = start[..stream.ReadAtLeast(start, start.Length, throwOnEndOfStream: false)];
        var text = Encoding.Latin1.GetString(start).TrimStart('\u00ef', '\u00bb', '\u00bf', ' ', '\t', '\r', '\n');
        if (text.StartsWith("version https://git-lfs.github.com/spec/", StringComparison.Ordinal))
        {
            var size = LfsSize().Match(text) is { Success: true } match && long.TryParse(match.Groups[1].ValueSpan, out var bytes)
                ? $" of {ByteSize.Text(bytes)}" : "";
            return new ModelFileException(path,
                $"a Git LFS pointer, not the file itself{size}: run `git lfs pull` in its repository, or download the file");
        }

        if (start.StartsWith("PK\u0003\u0004"u8) || (start.Length > 1 && start[0] == 0x80 && start[1] is >= 2 and <= 5))
        {
            return Pickle(path);
        }

        var what = text switch
        {
            "" => "a file of nothing but space: download it again",
            ['<', ..] => "a web page, not a model: the download was answered with an error or a login page; "
                + "log in or accept the model's terms, and download again",
            ['{' or '[', ..] => "a JSON text, not a safetensors file: if it is an index, open its folder instead; "
                + "if it holds an error message, download again",
            _ when start.StartsWith("GGUF"u8) => "a GGUF file, where a safetensors file was expected: "
                + "load it as a model of its own with DiffusionPipeline.Load, "
                + "or as PipelineOptions.TextEncoder2 if it is T5",
            _ when start.Length < 10 => $"only {start.Length} bytes: the download broke off at its start; download it again",
            _ when !start.ContainsAnyExcept((byte)0) =>
                "filled with zeros where its header should be: the download is not complete; run it again",
            _ => "no safetensors file: it does not start with a length of at most 100,000,000 and a header in braces; download it again",
        };
        return new ModelFileException(path, what);
    }

    [GeneratedRegex(@"^size (\d+)$", RegexOptions.Multiline)]
    private static partial Regex LfsSize();
}
