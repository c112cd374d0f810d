using System.Text.Json;
using System.Text.Json.Nodes;
using StorySync.Pipelines;

namespace StorySync.Samples.Evaluate;

/// <summary>Makes the list of variants that the command line asks for. The plain model comes first, always.</summary>
internal static class VariantList
{
    /// <param name="options">What the built-in variants and the sweeps start from, its techniques included.</param>
    /// <param name="chosen">Names of built-in variants, or JSON files of variants by name; empty for all built-in ones, or with sweeps
    /// for none.</param>
    /// <param name="sweeps">Each <c>constant=value,value,…</c>.</param>
    /// <param name="bases">What the sweeps vary; empty for <c>all</c>.</param>
    /// <exception cref="ArgumentException">Something of this is unknown.</exception>
    public static IReadOnlyList<Variant> Make(StoryOptions options, string[] chosen, string[] sweeps, string[] bases)
    {
        if (bases.Length > 0 && sweeps.Length == 0)
        {
            throw new ArgumentException($"--base {bases[0]} says what a sweep varies, but there is no --sweep; --variants {bases[0]} makes that variant alone.");
        }

        var builtIn = BuiltInVariants.Of(options);
        var files = chosen.Where(IsFile).SelectMany(path => FromFile(path, options)).ToArray();
        Variant[] known = [.. builtIn, .. files];
        Variant Find(string name) => known.FirstOrDefault(variant => variant.Name == name)
            ?? throw new ArgumentException($"There is no variant '{name}'; known are {string.Join(", ", known.Select(v => v.Name))}.");

        var named = chosen.Where(name => !IsFile(name)).SelectMany(names => names.Split(',', StringSplitOptions.TrimEntries)).Select(Find);
        var alone = chosen.Length == 0 && sweeps.Length == 0 ? builtIn : [.. named, .. files];
        var swept = sweeps.SelectMany(sweep => (bases.Length == 0 ? [BuiltInVariants.All] : bases).SelectMany(name => Sweep.Points(sweep, Find(name))));
        Variant[] all = [builtIn[0], .. alone.Where(variant => variant.Name != BuiltInVariants.Plain), .. swept];
        return all.GroupBy(variant => RunFolder.Safe(variant.Name), StringComparer.OrdinalIgnoreCase).FirstOrDefault(group => group.Count() > 1) is { } twice
            ? throw new ArgumentException($"The variants {string.Join(" and ", twice.Select(variant => $"'{variant.Name}'"))} have one name, or names for one folder; leave one out or rename it.")
            : all;
    }

    private static bool IsFile(string name) => name.EndsWith(".json", StringComparison.OrdinalIgnoreCase);

    /// <summary>Reads <c>{"name": {…options…}, …}</c>; what a variant does not say is as in <paramref name="options"/>.</summary>
    private static IEnumerable<Variant> FromFile(string path, StoryOptions options)
    {
        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"There is no file of variants '{path}'.", path);
        }

        foreach (var (name, own) in Json.Read<Dictionary<string, JsonObject>>(path))
        {
            yield return new Variant(name, OptionsPatch.Apply(options, own, $"{path}, variant '{name}'"));
        }
    }
}

/// <summary>Changes some of a story's options and keeps the others.</summary>
internal static class OptionsPatch
{
    /// <exception cref="ArgumentException">An option is unknown or its value is no good.</exception>
    public static StoryOptions Apply(StoryOptions options, JsonObject changes, string where)
    {
        var merged = JsonSerializer.SerializeToNode(options, Json.Options)!.AsObject();
        Merge(merged, changes);
        try
        {
            return merged.Deserialize<StoryOptions>(Json.Options)!;
        }
        catch (Exception exception) when (exception is JsonException or ArgumentException)
        {
            throw new ArgumentException($"{where}: {exception.Message}", exception);
        }
    }

    private static void Merge(JsonObject target, JsonObject changes)
    {
        foreach (var (name, value) in changes)
        {
            if (value is JsonObject inner && target[name] is JsonObject outer)
            {
                Merge(outer, inner);
            }
            else
            {
                target[name] = value?.DeepClone();
            }
        }
    }
}
