using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using StorySync.Diffusion.Weights;

namespace StorySync.Pipelines;

/// <summary>Tells models apart: by the entries of their parts' configs and a sample of their weights, as they are in their files.</summary>
internal static class ModelIdentity
{
    /// <summary>Identifies a model without LoRAs.</summary>
    /// <param name="parts">The parts that have weights, each with its folder.</param>
    /// <param name="variant">The variant of the weight files that was asked for.</param>
    /// <returns>A SHA-256 in hexadecimal digits.</returns>
    public static string Of(IEnumerable<(string Part, ModelFolder Folder)> parts, string? variant)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var (part, folder) in parts)
        {
            hash.AppendData(Encoding.UTF8.GetBytes($"{part}\n{Entries(folder.ReadFile(part, "config.json"))}\n"));
            using var weights = folder.OpenWeights(part, variant);
            WeightSample.Append(hash, weights);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>Identifies the LoRAs of a model, in the order of their names.</summary>
    /// <param name="files">Their files, by name.</param>
    /// <param name="scales">Their scales.</param>
    public static IReadOnlyList<string> Of(IReadOnlyDictionary<string, ITensorSource> files, IReadOnlyDictionary<string, double> scales) =>
    [
        .. files.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair =>
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            WeightSample.Append(hash, pair.Value);
            var content = Convert.ToHexStringLower(hash.GetHashAndReset());
            return string.Create(CultureInfo.InvariantCulture, $"{pair.Key} × {scales[pair.Key]} ({content})");
        }),
    ];

    /// <summary>A config without what names versions and folders, in the order of its keys.</summary>
    private static string Entries(FileContent file)
    {
        var config = JsonFile.Read(file, json => JsonObject.Create(json.Clone())) ?? [];
        return string.Join('\n', config.Where(entry => entry.Key == "_class_name" || entry.Key[0] != '_')
            .OrderBy(entry => entry.Key, StringComparer.Ordinal).Select(entry => $"{entry.Key}: {entry.Value?.ToJsonString()}"));
    }
}
