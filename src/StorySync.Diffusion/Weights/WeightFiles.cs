namespace StorySync.Diffusion.Weights;

/// <summary>Which files of a folder are a component's weights, by their names.</summary>
internal static class WeightFiles
{
    public const string DiffusersStem = "diffusion_pytorch_model";

    public static readonly string[] Stems = [DiffusersStem, "model"];

    /// <summary>Chooses the file of a component's weights, or the index of several.</summary>
    /// <param name="names">The names of the folder's files.</param>
    /// <param name="variant">The variant to prefer over the plain files; null prefers the plain files, and takes a variant where there are
    /// none.</param>
    /// <returns>The file and whether it is an index; null where there are no weights.</returns>
    public static (string Name, bool IsIndex)? Choose(IReadOnlyCollection<string> names, string? variant)
    {
        var known = names as IReadOnlySet<string> ?? names.ToHashSet(StringComparer.Ordinal);
        string?[] variants = variant is null ? [null, .. Variants(names)] : [variant, null];
        foreach (var dotted in variants.Select(candidate => candidate is null ? "" : "." + candidate))
        {
            foreach (var stem in Stems)
            {
                var single = $"{stem}{dotted}.safetensors";
                var index = $"{stem}.safetensors.index{dotted}.json";

                // Where there are both, diffusers reads the shards and transformers the single file.
                if ((stem == DiffusersStem || !known.Contains(single)) && known.Contains(index))
                {
                    return (index, true);
                }

                if (known.Contains(single))
                {
                    return (single, false);
                }
            }
        }

        return null;
    }

    /// <summary>Returns the variants that the names of a folder's files contain.</summary>
    public static IEnumerable<string> Variants(IEnumerable<string> names) => names
        .Select(name => name.Split('.'))
        .Select(parts => parts switch
        {
            [_, var shard, "safetensors"] when shard.Contains("-of-", StringComparison.Ordinal) => null,
            [var stem, var variant, "safetensors"] when Stems.Contains(stem) => variant,
            [var stem, "safetensors", "index", var variant, "json"] when Stems.Contains(stem) => variant,
            _ => null,
        })
        .OfType<string>().Distinct().Order(StringComparer.Ordinal);
}
