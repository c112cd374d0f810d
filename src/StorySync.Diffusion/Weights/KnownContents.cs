using System.IO.Compression;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using StorySync.Diffusion.Tokenizers;

namespace StorySync.Diffusion.Weights;

/// <summary>The small files of a published model, for a single file that comes without them: they are resources of this assembly.</summary>
/// <param name="model"><c>sdxl</c> or <c>flux</c>.</param>
/// <param name="facts">Entries of JSON files that the checkpoint's tensors tell.</param>
internal sealed class KnownContents(string model, IReadOnlyList<ConfigFact> facts) : IModelContents
{
    private const string Merges = "merges.txt", Vocabulary = "vocab.json", SentencePiece = "spiece.model";

    public string PathOf(string component, string file) =>
        string.Join('/', new[] { $"StorySync's own {model}", component, file }.Where(part => part.Length > 0));

    public bool Has(string component, string file) => Open(component, file) is { } stream && Close(stream);

    public FileContent? TryRead(string component, string file)
    {
        using var stream = Open(component, file);
        if (stream is null)
        {
            return null;
        }

        var bytes = Bytes(stream);
        return new(PathOf(component, file), file switch
        {
            Merges => Unpack(bytes),
            Vocabulary => JsonSerializer.SerializeToUtf8Bytes(BytePairEncoder.ClipVocabulary(Encoding.UTF8.GetString(Unpack(bytes)))),
            _ when facts.Any(fact => fact.Component == component && fact.File == file) => WithFacts(bytes, component, file),
            _ => bytes,
        });
    }

    private static bool Close(Stream stream)
    {
        stream.Dispose();
        return true;
    }

    private static byte[] Bytes(Stream stream)
    {
        using var copy = new MemoryStream();
        stream.CopyTo(copy);
        return copy.ToArray();
    }

    private static byte[] Unpack(byte[] bytes)
    {
        using var unpacking = new GZipStream(new MemoryStream(bytes), CompressionMode.Decompress);
        return Bytes(unpacking);
    }

    private byte[] WithFacts(byte[] bytes, string component, string file)
    {
        var json = JsonNode.Parse(bytes)!.AsObject();
        foreach (var fact in facts.Where(fact => fact.Component == component && fact.File == file))
        {
            json[fact.Key] = fact.Value?.DeepClone();
        }

        return JsonSerializer.SerializeToUtf8Bytes(json);
    }

    /// <summary>Both models have CLIP's vocabulary, and T5's is FLUX.1's second.</summary>
    private Stream? Open(string component, string file)
    {
        var isT5 = model == "flux" && component == "tokenizer_2";
        var isTokenizer = component.StartsWith("tokenizer", StringComparison.Ordinal);
        var name = file switch
        {
            Merges or Vocabulary => isTokenizer && !isT5 ? "merges.txt.gz" : null,
            SentencePiece => isT5 ? SentencePiece : null,
            _ => string.Join('/', new[] { model, component, file }.Where(part => part.Length > 0)),
        };
        return name is null ? null : typeof(KnownContents).Assembly.GetManifestResourceStream($"Known/{name}");
    }
}

/// <summary>An entry of a config that a checkpoint's tensors tell.</summary>
/// <param name="Component">The component.</param>
/// <param name="File">The config's file.</param>
/// <param name="Key">The entry's key.</param>
/// <param name="Value">Its value.</param>
internal sealed record ConfigFact(string Component, string File, string Key, JsonNode? Value);
