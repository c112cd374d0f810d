using System.Text.Json;
using System.Text.Json.Nodes;
using StorySync.Documents;
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
    /// <exception cref="UserErrorException">Something of this is unknown.</exception>
    public static IReadOnlyList<Variant> Make(StoryOptions options, string[] chosen, string[] sweeps, string[] bases)
    {
        if (bases.Length > 0 && sweeps.Length == 0)
        {
            throw new UserErrorException(
                $"--base {bases[0]} says what a sweep varies, but there is no --sweep; --variants {bases[0]} makes that variant alone.");
        }

        var builtIn = BuiltInVariants.Of(options);
        var files = chosen.Where(IsFile).SelectMany(path => FromFile(path, options)).ToArray();
        var anchored = BuiltInVariants.Anchored(options);
        Variant[] known = [.. builtIn, .. anchored, .. files];
        Variant Find(string name) => known.FirstOrDefault(variant => variant.Name == name)
            ?? throw new UserErrorException($"There is no variant '{name}'; known are {string.Join(", ", known.Select(v => v.Name))}.");

        IEnumerable<Variant> FindAll(string name) =>
            name == BuiltInVariants.Anchors ? [Find(BuiltInVariants.All), .. anchored] : [Find(name)];

        var named = chosen.Where(name => !IsFile(name)).SelectMany(names => names.Split(',', StringSplitOptions.TrimEntries))
            .SelectMany(FindAll).Distinct();
        var alone = chosen.Length == 0 && sweeps.Length == 0 ? builtIn : [.. named, .. files];
        var swept = sweeps.SelectMany(sweep =>
            (bases.Length == 0 ? [BuiltInVariants.All] : bases).SelectMany(name => Sweep.Points(sweep, Find(name))));
        Variant[] all = [builtIn[0], .. alone.Where(variant => variant.Name != BuiltInVariants.Plain), .. swept];
        return all.GroupBy(variant => RunFolder.Safe(RunFolder.Checked("variant", variant.Name)),
            StringComparer.OrdinalIgnoreCase).FirstOrDefault(group => group.Count() > 1) is { } twice
            ? throw new UserErrorException(
                $"The variants {string.Join(" and ", twice.Select(variant => $"'{variant.Name}'"))} have one name, or names for one "
                    + $"folder; leave one out or rename it.")
            : all;
    }

    private static bool IsFile(string name) => name.EndsWith(".json", StringComparison.OrdinalIgnoreCase);

    /// <summary>Reads <c>{"name": {…options…}, …}</c>; what a variant does not say is as in <paramref name="options"/>.</summary>
    private static IEnumerable<Variant> FromFile(string path, StoryOptions options)
    {
        var places = DocumentReader.Read(path, "file of variants").RequireMap("a file of variants");
        foreach (var (name, own) in Json.Read<Dictionary<string, JsonObject>>(path, "file of variants"))
        {
            yield return new Variant(
                name,
                OptionsPatch.Apply(
                    options, own ?? throw places[name].Error("a variant must be a mapping of options, not null."), places[name]));
        }
    }
}
